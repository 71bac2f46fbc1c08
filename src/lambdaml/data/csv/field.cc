#include "lambdaml/data/csv/field.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/format.h>

#include "lambdaml/base/text.h"
#include "lambdaml/data/text/number.h"

namespace lambdaml::data::csv {
namespace {

bool is_blank(char c, char delimiter) {
  return (c == ' ' || c == '\t' || c == '\r') && c != delimiter;
}

/// The text of a quoted field at `p`, its first quote; `p` then is behind its last one.
std::string_view read_quoted(const char*& p, const char* end, std::string& unquoted) {
  const char* const begin = p;
  const char* from = p + 1;
  bool doubled = false;
  unquoted.clear();
  while (true) {
    const auto* const quote =
        static_cast<const char*>(std::memchr(from, '"', static_cast<std::size_t>(end - from)));
    if (quote == nullptr)
      throw Fault{
          begin, 0,
          "a quote is opened here and never closed; close it, or double quotes that are text"};
    if (quote[1] != '"') {
      p = quote + 1;
      if (!doubled) return {from, static_cast<std::size_t>(quote - from)};
      return unquoted.append(from, quote);
    }
    unquoted.append(from, quote + 1);
    doubled = true;
    from = quote + 2;
  }
}

}  // namespace

Field read_field(const char* p, const char* end, char delimiter, std::string& unquoted) {
  while (is_blank(*p, delimiter)) ++p;
  if (*p == '"') {
    const std::string_view text = read_quoted(p, end, unquoted);
    const char* rest = p;
    while (is_blank(*rest, delimiter)) ++rest;
    if (*rest != delimiter && *rest != '\n')
      throw Fault{p, 0, "text follows a closing quote: double the quotes inside a quoted field"};
    return {text, rest};
  }
  const char* q = p;
  while (*q != delimiter && *q != '\n') {
    if (*q == '"')
      throw Fault{q, 0, "a quote inside a field without quotes: quote the field and double it"};
    ++q;
  }
  const char* const stop = q;
  while (q != p && is_blank(q[-1], delimiter)) --q;
  return {{p, static_cast<std::size_t>(q - p)}, stop};
}

bool is_missing(std::string_view text, bool among_numbers) {
  constexpr std::array<std::string_view, 9> kWords = {"NA",   "N/A",  "n/a",  "NaN", "nan",
                                                      "null", "NULL", "None", "#N/A"};
  if (text.empty()) return true;
  if (text.size() > 4) return false;
  return std::find(kWords.begin(), kWords.end(), text) != kWords.end() ||
         (among_numbers && text == "?");
}

std::optional<float> number_in(std::string_view text) {
  constexpr std::size_t kLongest = 64;
  std::array<char, kLongest + kReadable> copy;
  if (text.size() > kLongest || text.empty()) return {};
  const auto end = std::copy(text.begin(), text.end(), copy.begin());
  std::fill(end, end + kReadable, '\n');
  float value = 0;
  if (read_float_slowly(copy.data(), value) != copy.data() + text.size()) return {};
  return value;
}

std::string no_number(std::string_view text) {
  const std::string shown = printable(text, 40);
  if (has_comma_in_number(text))
    return fmt::format(
        "'{}' has a decimal comma or a thousands separator: write numbers like 1234.5", shown);
  if (const std::optional<double> real = to_real(text))
    return fmt::format("'{}' is too large for 32-bit floats: scale it", shown);
  return fmt::format(
      "'{}' is not a finite number: correct it, or name the column in --categorical if it holds "
      "categories",
      shown);
}

}  // namespace lambdaml::data::csv
