#include "lambdaml/base/json.h"

#include <limits>
#include <set>
#include <type_traits>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace lambdaml {
namespace {

/// Thrown to leave the parser at the first violation: it has no other early exit.
struct Refused {};

/// The library searches an ordered object's members linearly.
constexpr std::size_t kMostOrderedMembers = 10'000;

/// The library parses and destroys values iteratively, but copies, compares and prints them
/// recursively: values deeper than kMostJsonDepth could overflow the stack.
template <typename Json>
Json parsed(std::string_view text) {
  using Event = typename Json::parse_event_t;
  std::vector<std::set<std::string>> open;  // the names in each object that has not ended
  std::size_t values = 0;
  const auto watch = [&](int depth, Event event, Json& value) {
    if (event == Event::key) {
      if (!open.back().insert(value.template get<std::string>()).second) throw Refused();
      if (std::is_same_v<Json, nlohmann::ordered_json> && open.back().size() > kMostOrderedMembers)
        throw Refused();
      return true;
    }
    if (event == Event::object_end) open.pop_back();
    if (event == Event::object_end || event == Event::array_end) return true;
    if (++values > kMostJsonValues) throw Refused();
    if (event != Event::value && depth >= kMostJsonDepth) throw Refused();
    if (event == Event::object_start) open.emplace_back();
    return true;
  };
  try {
    return Json::parse(text.begin(), text.end(), watch, false);
  } catch (const Refused&) {
    return Json(Json::value_t::discarded);
  }
}

template <typename Json>
const Json* find_member(const Json& object, const char* name) {
  const auto at = object.is_object() ? object.find(name) : object.end();
  return object.is_object() && at != object.end() ? &*at : nullptr;
}
template <typename Json>
std::string text_member(const Json& object, const char* name, std::string_view absent) {
  const Json* const member = find_member(object, name);
  return member != nullptr && member->is_string() ? member->template get<std::string>()
                                                  : std::string(absent);
}
template <typename Json>
std::uint64_t count_member(const Json& object, const char* name, std::uint64_t absent) {
  const Json* const member = find_member(object, name);
  // A value that was never text may be a signed number.
  const bool is_count =
      member != nullptr &&
      (member->is_number_unsigned() ||
       (member->is_number_integer() && member->template get<std::int64_t>() >= 0));
  return is_count ? member->template get<std::uint64_t>() : absent;
}

template <typename Json>
std::string text_of(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}
}  // namespace

nlohmann::json parse_json(std::string_view text) { return parsed<nlohmann::json>(text); }

nlohmann::ordered_json parse_ordered_json(std::string_view text) {
  return parsed<nlohmann::ordered_json>(text);
}

double number_at(const nlohmann::json& object, const char* name, double absent) {
  const auto member = object.find(name);
  if (member == object.end()) return absent;
  return member->is_number() ? member->get<double>() : std::numeric_limits<double>::quiet_NaN();
}

std::string text_at(const nlohmann::json& object, const char* name, std::string_view absent) {
  return text_member(object, name, absent);
}
std::string text_at(const nlohmann::ordered_json& object, const char* name,
                    std::string_view absent) {
  return text_member(object, name, absent);
}
std::uint64_t count_at(const nlohmann::json& object, const char* name, std::uint64_t absent) {
  return count_member(object, name, absent);
}
std::uint64_t count_at(const nlohmann::ordered_json& object, const char* name,
                       std::uint64_t absent) {
  return count_member(object, name, absent);
}

std::string json_text(const nlohmann::json& value, int indent) { return text_of(value, indent); }

std::string json_text(const nlohmann::ordered_json& value, int indent) {
  return text_of(value, indent);
}

template <class T>
T whole_number(const nlohmann::json& value) {
  const bool is_whole =
      value.is_number_unsigned()
          ? std::in_range<T>(value.get<std::uint64_t>())
          : value.is_number_integer() && std::in_range<T>(value.get<std::int64_t>());
  if (!is_whole) throw nlohmann::json::type_error::create(302, "a whole number is needed", &value);
  return value.get<T>();
}
template std::uint64_t whole_number(const nlohmann::json& value);
template std::int64_t whole_number(const nlohmann::json& value);

}  // namespace lambdaml
