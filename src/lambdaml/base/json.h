#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace lambdaml {

/// What parse_json() reads at most: a text may come from anybody, and a value takes many times the
/// memory of its text.
inline constexpr int kMostJsonDepth = 64;
inline constexpr std::size_t kMostJsonValues = 1'000'000;

/// The value that `text` states. It is_discarded(), so that its at() and value() throw
/// json::type_error, where the text is no JSON, names a member of an object twice, nests deeper
/// than kMostJsonDepth or has more than kMostJsonValues values. Reading and writing stand here,
/// compiled once: they are most of what a file costs that uses them.
nlohmann::json parse_json(std::string_view text);
/// The same, members in the order of the text. An object may have 10,000: each is compared with all
/// before it.
nlohmann::ordered_json parse_ordered_json(std::string_view text);

/// The member of that name, or `absent`. JSON has no word for a number that is not finite: what
/// stands there instead (null), or is no number, is NaN.
double number_at(const nlohmann::json& object, const char* name, double absent = 0);

/// The member of that name where it is a text, or a whole number not below 0; else `absent`: what
/// comes from storage may be anything.
std::string text_at(const nlohmann::json& object, const char* name, std::string_view absent = "");
std::string text_at(const nlohmann::ordered_json& object, const char* name,
                    std::string_view absent = "");
std::uint64_t count_at(const nlohmann::json& object, const char* name, std::uint64_t absent = 0);
std::uint64_t count_at(const nlohmann::ordered_json& object, const char* name,
                       std::uint64_t absent = 0);

/// `value` as text: on one line, or with `indent` spaces a level. Bytes that are not UTF-8 become
/// U+FFFD.
std::string json_text(const nlohmann::json& value, int indent = -1);
std::string json_text(const nlohmann::ordered_json& value, int indent = -1);

}  // namespace lambdaml
