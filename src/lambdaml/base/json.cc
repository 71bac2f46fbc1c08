#include "lambdaml/base/json.h"

#include <limits>
#include <set>
#include <vector>

#include <nlohmann/json.hpp>

namespace lambdaml {
namespace {

template <typename Json>
Json parsed(std::string_view text) {
  std::vector<std::set<std::string>> open;  // the names in each object that has not ended
  bool twice = false;
  const auto watch = [&](int, typename Json::parse_event_t event, Json& value) {
    if (event == Json::parse_event_t::object_start)
      open.emplace_back();
    else if (event == Json::parse_event_t::object_end)
      open.pop_back();
    else if (event == Json::parse_event_t::key)
      twice |= !open.back().insert(value.template get<std::string>()).second;
    return true;
  };
  Json value = Json::parse(text.begin(), text.end(), watch, false);
  return twice ? Json(Json::value_t::discarded) : value;
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

std::string json_text(const nlohmann::json& value, int indent) { return text_of(value, indent); }

std::string json_text(const nlohmann::ordered_json& value, int indent) {
  return text_of(value, indent);
}

}  // namespace lambdaml
