#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace lambdaml {

/// Limits of parse_json(): a text may be untrusted, and a value takes many times the memory of its
/// text.
inline constexpr int kMostJsonDepth = 64;
inline constexpr std::size_t kMostJsonValues = 1'000'000;

/// Parses `text`. If it is not JSON, repeats a member name in an object, nests deeper than
/// kMostJsonDepth or has more than kMostJsonValues values, the result is_discarded(), so that its
/// at() and value() throw json::type_error. Parsing and printing are compiled only here because
/// they dominate the compile time of a file that uses them.
nlohmann::json parse_json(std::string_view text);
/// The same, with members in the order of the text. An object may have at most 10,000 members
/// because each is compared with all before it.
nlohmann::ordered_json parse_ordered_json(std::string_view text);

/// The number, which must be whole and within the type: unlike nlohmann::json::get(), whose result
/// for others is undefined. For std::uint64_t and std::int64_t. Throws json::type_error.
template <class T = std::uint64_t>
T whole_number(const nlohmann::json& value);

/// The number in that member, or `absent` if there is no such member. Returns NaN for null or any
/// non-number (JSON cannot represent NaN or infinity).
double number_at(const nlohmann::json& object, const char* name, double absent = 0);

/// The member of that name if it is a text (or, for count_at(), a non-negative integer); otherwise
/// `absent`. For objects from storage, which may hold anything.
std::string text_at(const nlohmann::json& object, const char* name, std::string_view absent = "");
std::string text_at(const nlohmann::ordered_json& object, const char* name,
                    std::string_view absent = "");
std::uint64_t count_at(const nlohmann::json& object, const char* name, std::uint64_t absent = 0);
std::uint64_t count_at(const nlohmann::ordered_json& object, const char* name,
                       std::uint64_t absent = 0);

/// `value` as text: on one line, or with `indent` spaces per level. Bytes that are not UTF-8 become
/// U+FFFD.
std::string json_text(const nlohmann::json& value, int indent = -1);
std::string json_text(const nlohmann::ordered_json& value, int indent = -1);

}  // namespace lambdaml
