#include "lambdaml/data/csv/block.h"

#include <cmath>

#include <fmt/format.h>

#include "lambdaml/base/text.h"
#include "lambdaml/data/text/number.h"

namespace lambdaml::data::csv {
namespace {

constexpr double kExactInFloat = 1 << 24;

std::string fields(std::size_t n) { return fmt::format("{} field{}", n, n == 1 ? "" : "s"); }

/// Parses the records of one block.
class Parser {
 public:
  Parser(std::string_view text, const Layout& layout, Block& block)
      : p_(text.data()), end_(p_ + text.size()), layout_(layout), block_(block) {}

  void parse() {
    while (p_ != end_) {
      if (*p_ == '\n') {
        ++p_;
        continue;
      }
      if (*p_ == '\r' && p_[1] == '\n') {
        p_ += 2;
        continue;
      }
      row();
      ++block_.rows;
    }
  }

 private:
  void row() {
    const std::size_t n = layout_.columns.size();
    const char delimiter = layout_.delimiter;
    const Column* const columns = layout_.columns.data();
    float* const numbers = block_.numbers.data() + block_.rows * layout_.numbers;
    for (std::size_t c = 0; c < n; ++c) {
      const Column& column = columns[c];
      if (column.kind == Column::Kind::number) [[likely]] {
        // Blanks may stand before a number.
        const char* const from = p_ + (*p_ == ' ' && delimiter != ' ' ? 1 : 0);
        const char* const stop = read_float(from, numbers[column.slot]);
        if (stop != nullptr) [[likely]] {
          if (c + 1 != n && *stop == delimiter) [[likely]] {
            p_ = stop + 1;
            continue;
          }
          if (c + 1 == n && (*stop == '\n' || (*stop == '\r' && stop[1] == '\n'))) {
            p_ = stop + (*stop == '\n' ? 1 : 2);
            continue;
          }
        }
      } else if (column.kind == Column::Kind::label_number && short_label(c + 1 == n)) {
        continue;
      }
      slowly(c, numbers);
    }
  }

  /// Takes a label of few digits; false if it is another one.
  bool short_label(bool last) {
    const char* const digits_at = p_ + (*p_ == '-' ? 1 : 0);
    const Digits digits = read_digits(digits_at);
    if (digits.count - 1U >= 7) return false;
    const char* const stop = digits_at + digits.count;
    if (*stop != (last ? '\n' : layout_.delimiter)) return false;
    const auto magnitude = static_cast<double>(digits.value());
    block_.labels[block_.rows] = *p_ == '-' ? -magnitude : magnitude;
    p_ = stop + 1;
    return true;
  }

  [[gnu::noinline]] void slowly(std::size_t c, float* numbers) {
    const Column& column = layout_.columns[c];
    const char* const begin = p_;
    try {
      const Field field = read_field(p_, end_, layout_.delimiter, unquoted_);
      take(column, field.text, numbers);
      p_ = field.end + 1;
      require_end(c, begin, field.end);
    } catch (Fault& fault) {
      fault.column = c;
      if (fault.at == nullptr) fault.at = begin;
      throw;
    }
  }

  void take(const Column& column, std::string_view text, float* numbers) {
    switch (column.kind) {
      case Column::Kind::skipped:
        return;
      case Column::Kind::number:
        numbers[column.slot] = number(text);
        return;
      case Column::Kind::text:
        code(column) = category(column, text);
        return;
      case Column::Kind::label_number:
        block_.labels[block_.rows] = label(text);
        return;
      case Column::Kind::weight:
        block_.weights[block_.rows] = weight(text);
        return;
      case Column::Kind::label_text:
        if (text.empty()) throw Fault{nullptr, 0, "the row has no label: remove it"};
        code(column) = code_of(column, text);
        return;
    }
  }

  std::uint32_t& code(const Column& column) {
    return block_.codes[block_.rows * layout_.dictionaries + column.slot];
  }

  void require_filled() const {
    if (layout_.missing == Layout::Missing::refuse)
      throw Fault{nullptr, 0,
                  "the value is missing: fill it by --missing mean or zero, or remove the row"};
  }

  float number(std::string_view text) const {
    if (const std::optional<float> value = number_in(text)) return *value;
    if (!is_missing(text, true)) throw Fault{nullptr, 0, no_number(text)};
    require_filled();
    return std::numeric_limits<float>::quiet_NaN();
  }

  std::uint32_t category(const Column& column, std::string_view text) {
    if (!is_missing(text, false)) return code_of(column, text);
    require_filled();
    return Dictionary::kMissing;
  }

  std::uint32_t code_of(const Column& column, std::string_view text) {
    const std::uint32_t code = block_.dictionaries[column.slot].number_of(text);
    if (code == Dictionary::kFull) throw Fault{nullptr, 0, too_many_texts()};
    return code;
  }

  static double label(std::string_view text) {
    const std::optional<float> value = number_in(text);
    if (value && std::abs(static_cast<double>(*value)) < kExactInFloat) return *value;
    if (value)
      if (const std::optional<double> exact = to_real(text)) return *exact;
    if (is_missing(text, true)) throw Fault{nullptr, 0, "the row has no label: remove it"};
    if (has_comma_in_number(text)) throw Fault{nullptr, 0, no_number(text)};
    throw Fault{
        nullptr, 0,
        fmt::format("the label '{}' is not a finite number, and those of the first rows are",
                    printable(text, 40))};
  }

  static float weight(std::string_view text) {
    const std::optional<float> value = number_in(text);
    if (value && *value >= 0) return *value;
    if (is_missing(text, true))
      throw Fault{nullptr, 0, "the row has no weight: write one, 0 to leave the row out"};
    throw Fault{nullptr, 0,
                fmt::format("the weight '{}' is no finite number from 0 up", printable(text, 40))};
  }

  /// Throws if the row has fewer or more fields than the first one; `stop`: the end of field c.
  void require_end(std::size_t c, const char* begin, const char* stop) {
    const std::size_t n = layout_.columns.size();
    const bool last = c + 1 == n;
    if (last != (*stop == '\n')) {
      std::size_t count = c + 1;
      while (*stop != '\n') {
        stop = read_field(stop + 1, end_, layout_.delimiter, unquoted_).end;
        ++count;
      }
      throw Fault{
          begin, 0,
          fmt::format("the row has {}, and {} has {}; a field that contains the delimiter (a "
                      "decimal comma, say) needs quotes",
                      fields(count), layout_.header ? "the header" : "the first one", n)};
    }
  }

  const char* p_;
  const char* const end_;
  const Layout& layout_;
  Block& block_;
  std::string unquoted_;
};

template <class T>
void make_room(Array<T>& array, std::size_t n) {
  if (array.size() < n) array = Array<T>(n);
}

}  // namespace

std::string too_many_texts() {
  return fmt::format(
      "it has more than {} different texts: they are no categories; remove the column",
      human_count(Dictionary::kMost));
}

void parse_block(std::string_view text, const Layout& layout, Block& block) {
  // A row has a delimiter or a newline behind each field; the last one may end in a fault.
  const std::size_t most_rows = text.size() / layout.columns.size() + 1;
  make_room(block.numbers, most_rows * layout.numbers);
  make_room(block.codes, most_rows * layout.dictionaries);
  make_room(block.labels, most_rows);
  if (layout.weight) make_room(block.weights, most_rows);
  block.dictionaries.resize(layout.dictionaries);
  for (Dictionary& dictionary : block.dictionaries) dictionary.clear();
  block.rows = 0;
  block.fault.reset();
  try {
    Parser(text, layout, block).parse();
  } catch (Fault& fault) {
    block.fault = std::move(fault);
  }
}

}  // namespace lambdaml::data::csv
