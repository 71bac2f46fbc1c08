#include "lambdaml/data/libsvm/block.h"

#include <cmath>
#include <limits>

#include <fmt/core.h>

#include "lambdaml/base/text.h"
#include "lambdaml/data/text/number.h"

namespace lambdaml::data::libsvm {
namespace {

constexpr std::uint64_t kMaxIndex = std::uint64_t{1} << 31;

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }
bool ends_token(char c) { return is_blank(c) || c == '\n' || c == '#'; }

std::string_view token_at(const char* p) {
  const char* end = p;
  while (!ends_token(*end)) ++end;
  return {p, static_cast<std::size_t>(end - p)};
}

const char* line_end(const char* p, const char* end) {
  return static_cast<const char*>(std::memchr(p, '\n', static_cast<std::size_t>(end - p)));
}

/// A number with its nearest float; whole ones, also written as `1.0`, are classes.
[[gnu::noinline]] const char* read_label_slowly(const char* p, Block& block) {
  const std::string_view token = token_at(p);
  const std::optional<double> number = to_real(token);
  const auto target = number ? static_cast<float>(*number) : 0.0F;
  if (!number)
    throw Fault{p, fmt::format("label '{}' is not a number: write a class or a target first, then "
                               "index:value pairs (a table: --format csv)",
                               printable(token, 40))};
  if (!std::isfinite(target))
    throw Fault{p, fmt::format("label '{}' is too large for 32-bit floats: scale it",
                               printable(token, 40))};
  const bool whole = *number == std::floor(*number) &&
                     *number >= std::numeric_limits<std::int32_t>::min() &&
                     *number <= std::numeric_limits<std::int32_t>::max();
  block.real |= !whole;
  block.labels[block.rows] = whole ? static_cast<std::int32_t>(*number) : 0;
  block.targets[block.rows] = target;
  return p + token.size();
}

/// The index (from 1) before the colon of the token `p`, for tokens that the fast path rejects.
[[gnu::noinline]] const char* read_index_slowly(const char* p, std::uint32_t& index) {
  const std::string_view token = token_at(p);
  const std::size_t colon = token.find(':');
  if (colon == std::string_view::npos)
    throw Fault{p, fmt::format("'{}' is not a feature: write index:value (a table with blanks "
                               "between fields: --format csv --delimiter ' ')",
                               printable(token, 40))};
  const std::string_view digits = token.substr(0, colon);
  if (digits == "qid")
    throw Fault{p,
                "qid marks the queries of a ranking, which no model here learns: remove it, for "
                "instance with: sed 's/ qid:[0-9]*//'"};
  const bool negative = digits.size() > 1 && digits[0] == '-';
  const std::string_view magnitude = digits.substr(negative ? 1 : 0);
  if (magnitude.empty() || magnitude.find_first_not_of("0123456789") != std::string_view::npos)
    throw Fault{p, fmt::format("feature index '{}' is not a number: write index:value",
                               printable(digits, 40))};
  if (negative)
    throw Fault{
        p, fmt::format("feature index {} is negative: indices begin at 1", printable(digits, 40))};
  const std::optional<std::int64_t> number = to_integer(digits);
  if (!number || *number > static_cast<std::int64_t>(kMaxIndex))
    throw Fault{p, fmt::format("feature index {} is beyond {}: number the features from 1",
                               printable(digits, 40), kMaxIndex)};
  index = static_cast<std::uint32_t>(*number);
  return p + colon;
}

/// The indices are those of the text plus `shift`.
[[noreturn, gnu::noinline]] void fail_order(const char* p, std::uint32_t index,
                                            std::uint32_t previous, std::uint32_t shift) {
  if (index == 0) throw Fault{p, "feature index 0: indices begin at 1; --index-base 0", true};
  index -= shift;
  previous -= shift;
  if (index == previous)
    throw Fault{p, fmt::format("feature index {} stands twice in the row: keep one", index)};
  throw Fault{p, fmt::format("feature index {} comes after {}: indices must ascend, sort the row",
                             index, previous)};
}

/// Whether the text is a decimal number, so that rejecting it means that it is out of range.
bool is_decimal(std::string_view text) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto digits_at = [&](std::size_t i) {
    std::size_t n = 0;
    while (i + n < text.size() && digit(text[i + n])) ++n;
    return n;
  };
  const auto sign_at = [&](std::size_t i) -> std::size_t {
    return i < text.size() && (text[i] == '-' || text[i] == '+') ? 1 : 0;
  };
  std::size_t at = sign_at(0);
  std::size_t digits = digits_at(at);
  at += digits;
  if (at < text.size() && text[at] == '.') {
    digits += digits_at(at + 1);
    at += 1 + digits_at(at + 1);
  }
  if (at < text.size() && (text[at] | 0x20) == 'e') {
    at += 1 + sign_at(at + 1);
    if (digits_at(at) == 0) return false;
    at += digits_at(at);
  }
  return digits != 0 && at == text.size();
}

[[noreturn, gnu::noinline]] void fail_value(const char* p, std::uint32_t index) {
  const std::string_view token = token_at(p);
  if (token.empty())
    throw Fault{p, fmt::format("feature {} has no value: write index:value without blanks", index)};
  const std::string why = is_decimal(token)
                              ? "too large for 32-bit floats: scale it"
                              : fmt::format("not a finite number: {}", remedy_for_number(token));
  throw Fault{p, fmt::format("value '{}' of feature {} is {}", printable(token, 40), index, why)};
}

[[gnu::noinline]] void check_labelling(const char* p, Block& block, bool labelled) {
  if (block.rows == 0) {
    block.labelled = labelled;
    block.first_row = p;
  } else if (labelled != block.labelled) {
    throw Fault{p, labelling_fault(labelled)};
  }
}

/// One long function: all that its loops share stays in registers. `shift` is added to indices, so
/// that the first is 1.
template <std::uint32_t shift>
void parse(std::string_view text, Block& block) {
  const char* p = text.data();
  const char* const end = p + text.size();
  std::uint32_t* const indices = block.indices.data();
  float* const values = block.values.data();
  std::size_t at = 0;
  std::uint32_t last_index = 0;
  unsigned usual_digits = 1;

  while (p != end) {
    while (is_blank(*p)) ++p;
    if (*p == '\n') {
      ++p;
      continue;
    }
    if (*p == '#') {
      p = line_end(p, end) + 1;
      continue;
    }

    const char* const sign = p;
    const char* const digits_at = p + (*sign == '-' || *sign == '+' ? 1 : 0);
    const Digits digits = read_digits(digits_at);
    const bool plain = digits.count - 1U < 7 && ends_token(digits_at[digits.count]);
    const bool labelled = plain || token_at(p).find(':') == std::string_view::npos;
    if (block.rows == 0 || labelled != block.labelled) check_labelling(p, block, labelled);
    if (plain) {
      const auto magnitude = static_cast<std::int32_t>(digits.value());
      const std::int32_t label = *sign == '-' ? -magnitude : magnitude;
      block.labels[block.rows] = label;
      block.targets[block.rows] = static_cast<float>(label);
      p = digits_at + digits.count;
    } else if (labelled) {
      p = read_label_slowly(p, block);
    }

    std::uint32_t previous = 0;
    while (true) {
      const char* const token = p;
      const Digits number = read_digits(p);
      std::uint32_t index = 0;
      if (number.count - 1U < 7 && p[number.count] == ':') [[likely]] {
        index = static_cast<std::uint32_t>(number.value());
        // Neighbouring tokens usually have the same number of digits: with a predictable branch,
        // finding the next token does not wait for counting the digits of this one.
        if (number.count == usual_digits) [[likely]] {
          asm("" : "+r"(usual_digits));
          p += usual_digits;
        } else {
          usual_digits = number.count;
          p += number.count;
        }
      } else {
        if (is_blank(*p)) {
          ++p;
          continue;
        }
        if (*p == '\n') {
          ++p;
          break;
        }
        if (*p == '#') {
          p = line_end(p, end) + 1;
          break;
        }
        p = read_index_slowly(p, index);
      }
      index += shift;
      if (index <= previous) [[unlikely]]
        fail_order(token, index, previous, shift);
      previous = index;

      const char* const value_at = ++p;
      p = read_float(p, values[at]);
      if (p == nullptr) [[unlikely]]
        fail_value(value_at, index - shift);
      indices[at] = index - 1;
      ++at;
      if (*p == ' ') [[likely]]
        ++p;
      else if (!ends_token(*p)) [[unlikely]]
        fail_value(value_at, index - shift);
    }
    last_index = std::max(last_index, previous);
    block.row_ends[block.rows] = static_cast<std::uint32_t>(at);
    ++block.rows;
    block.entries = at;
    block.cols = last_index;
  }
}

/// Makes room for `n` values without keeping the old ones.
template <class T>
void make_room(Array<T>& array, std::size_t n) {
  if (array.size() < n) array = Array<T>(n);
}

}  // namespace

std::string labelling_fault(bool labelled) {
  return labelled ? "a label, while the rows before have none: label all rows or none"
                  : "no label, while the rows before have one: label all rows or none";
}

void parse_block(std::string_view text, Block& block, int index_base) {
  // The shortest entry is " 1:1" and the shortest row "1" and a newline.
  make_room(block.indices, text.size() / 4 + 1);
  make_room(block.values, text.size() / 4 + 1);
  make_room(block.row_ends, text.size() / 2 + 1);
  make_room(block.labels, text.size() / 2 + 1);
  make_room(block.targets, text.size() / 2 + 1);
  block.rows = block.entries = block.cols = 0;
  block.labelled = true;
  block.real = false;
  block.first_row = nullptr;
  block.fault.reset();
  try {
    if (index_base == 0)
      parse<1>(text, block);
    else
      parse<0>(text, block);
  } catch (Fault& fault) {
    block.fault = std::move(fault);
  }
}

}  // namespace lambdaml::data::libsvm
