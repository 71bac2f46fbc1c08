#include "lambdaml/data/csv/layout.h"

#include <algorithm>
#include <array>
#include <set>
#include <unordered_set>

#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/text_blocks.h"
#include "lambdaml/data/weights.h"

namespace lambdaml::data::csv {
namespace {

using Record = std::vector<std::string>;

/// As many records as tell a column of numbers from one of texts.
constexpr std::size_t kRecords = 1000;
constexpr std::size_t kRecordsForDelimiter = 20;
constexpr std::array kDelimiters = {'\t', ';', '|', ','};
constexpr std::array<std::string_view, 4> kLabelNames = {"label", "target", "class", "y"};

/// The records at the begin of `text`, which ends in a newline; `ends`: where each ends. Stops at a
/// fault, which `fault` gets.
struct Sample {
  std::vector<Record> records;
  std::vector<std::size_t> ends;
  std::optional<Fault> fault;
};

Sample sample_of(std::string_view text, char delimiter, std::size_t most) {
  Sample out;
  const char* p = text.data();
  const char* const end = p + text.size();
  std::string unquoted;
  try {
    while (p != end && out.records.size() < most) {
      if (*p == '\n' || (*p == '\r' && p[1] == '\n')) {
        p += *p == '\n' ? 1 : 2;
        continue;
      }
      Record record;
      while (true) {
        const Field field = read_field(p, end, delimiter, unquoted);
        record.emplace_back(field.text);
        p = field.end + 1;
        if (*field.end == '\n') break;
      }
      out.records.push_back(std::move(record));
      out.ends.push_back(static_cast<std::size_t>(p - text.data()));
    }
  } catch (Fault& fault) {
    out.fault = std::move(fault);
  }
  return out;
}

/// The first delimiter by which all records have the same number of fields; otherwise the one that
/// is most frequent in the first record; none if there is none in it.
std::optional<char> find_delimiter(std::string_view text) {
  std::optional<char> frequent;
  std::size_t fields = 1;
  for (const char delimiter : kDelimiters) {
    const Sample sample = sample_of(text, delimiter, kRecordsForDelimiter);
    if (sample.records.empty()) continue;
    const std::size_t n = sample.records[0].size();
    const bool even = std::all_of(sample.records.begin(), sample.records.end(),
                                  [n](const Record& record) { return record.size() == n; });
    if (even && n > 1) return delimiter;
    if (n <= fields) continue;
    fields = n;
    frequent = delimiter;
  }
  return frequent;
}

char delimiter_for(std::string_view text, const ReadOptions& options) {
  const std::string& wanted = options.options.text("delimiter");
  if (wanted == "tab" || wanted == "\\t") return '\t';
  if (wanted.size() == 1 && wanted != "\"" && wanted != "\n") return wanted[0];
  if (wanted != "auto")
    fail(Code::invalid_argument, "--delimiter '{}': write one character, tab or auto",
         printable(wanted, 20));
  return find_delimiter(text).value_or(',');
}

/// The columns that a model's names are about, in order: `age`, `colour` (of `colour=red`).
std::vector<std::string> columns_named(const Names& names) {
  std::vector<std::string> out;
  for (const std::string& feature : names.features) {
    std::string column = feature.substr(0, feature.find('='));
    if (out.empty() || out.back() != column) out.push_back(std::move(column));
  }
  return out;
}

/// A number, or what was meant to be one.
bool is_number_like(const std::string& text) {
  constexpr std::array<std::string_view, 6> kInfinite = {"inf",  "-inf",     "Inf",
                                                         "-Inf", "Infinity", "-Infinity"};
  return number_in(text).has_value() || has_comma_in_number(text) || to_real(text).has_value() ||
         std::find(kInfinite.begin(), kInfinite.end(), text) != kInfinite.end();
}

/// What the sampled records say about a column, the first one left out.
struct Content {
  std::size_t numbers = 0, texts = 0, reals = 0;
  bool first_is_number = false, first_is_missing = false, first_again = false;
};

Content content_of(const std::vector<Record>& records, std::size_t column) {
  Content out;
  const std::string& first = records[0][column];
  out.first_is_number = is_number_like(first);
  out.first_is_missing = is_missing(first, true);
  for (std::size_t r = 1; r < records.size(); ++r) {
    if (column >= records[r].size()) continue;
    const std::string& text = records[r][column];
    out.first_again |= text == first;
    if (is_missing(text, true)) continue;
    ++(is_number_like(text) ? out.numbers : out.texts);
  }
  return out;
}

/// A header has a text above a column of numbers, or names that differ and do not occur as values.
bool has_header(const std::vector<Record>& records, const ReadOptions& options) {
  const std::string& wanted = options.options.text("header");
  if (wanted != "auto") return wanted == "yes";
  if (options.names) {
    const std::vector<std::string> known = columns_named(*options.names);
    const auto is_known = [&](const std::string& text) {
      return std::find(known.begin(), known.end(), text) != known.end();
    };
    if (std::any_of(records[0].begin(), records[0].end(), is_known)) return true;
  }
  bool all_texts = true;
  bool none_again = true;
  for (std::size_t c = 0; c < records[0].size(); ++c) {
    const Content content = content_of(records, c);
    const bool is_text = !content.first_is_number && !content.first_is_missing;
    if (is_text && content.numbers > 0 && content.texts == 0) return true;
    all_texts &= is_text;
    none_again &= !content.first_again;
  }
  const std::set<std::string> different(records[0].begin(), records[0].end());
  return all_texts && none_again && different.size() == records[0].size();
}

void require_utf8(const std::string& text, const std::string& what) {
  if (is_utf8(text)) return;
  const std::string file = what.substr(what.rfind('/') + 1);
  fail(Code::data_corrupt,
       "{}: '{}' is not UTF-8 text: convert it, for instance with: iconv -f LATIN1 -t UTF-8 {}",
       what, printable(text, 40), file);
}

/// Builds a layout from the sampled records.
class Builder {
 public:
  Builder(const std::vector<Record>& records, Layout& layout, const ReadOptions& options)
      : records_(records), layout_(layout), options_(options) {}

  void build() {
    name_columns();
    find_weight();
    take_known_names();
    find_label();
    for (std::size_t c = 0; c < layout_.columns.size(); ++c)
      if (c != layout_.label && c != weight_) set_kind(c);
    require_columns();
    if (!left_out_.empty())
      layout_.notices.push_back(fmt::format(
          "{}: the model does not know the columns {}; they are left out", what(), left_out_));
    number_slots();
  }

 private:
  const std::string& what() const { return options_.what; }

  void name_columns() {
    std::unordered_set<std::string> seen;
    const std::size_t n = records_[0].size();
    for (std::size_t c = 0; c < n; ++c) {
      Column column{layout_.header ? records_[0][c] : std::to_string(c)};
      require_utf8(column.name, what());
      // As tables are written with their index: its column has no name.
      if (c == 0 && column.name.empty()) column.kind = Column::Kind::skipped;
      if (!seen.insert(column.name).second)
        fail(Code::data_corrupt,
             "{}:1: two columns have the name '{}': give each column a name of its own", what(),
             printable(column.name, 60));
      layout_.columns.push_back(std::move(column));
    }
  }

  /// The names of the model's columns, for a file without a header that has as many besides its
  /// weights; with one more, that is the label, which find_label() leaves out.
  void take_known_names() {
    if (layout_.header || !options_.names) return;
    std::vector<std::string> known = columns_named(*options_.names);
    const std::size_t columns = layout_.columns.size() - (weight_ ? 1 : 0);
    if (known.size() == columns)
      name_by(known, {});
    else if (known.size() + 1 == columns)
      known_ = std::move(known);
  }

  /// Names the columns, except those of weights and labels.
  void name_by(const std::vector<std::string>& known, std::optional<std::size_t> label) {
    for (std::size_t c = 0, k = 0; c < layout_.columns.size(); ++c)
      if (c != weight_ && c != label) layout_.columns[c].name = known[k++];
  }

  /// Weights are for training: a file for a model may have them or not.
  void find_weight() {
    const bool is_for_model = options_.features > 0;
    const WeightColumn wanted(options_.options);
    if (!wanted.name.empty())
      weight_ = wanted_column(wanted.name, "--weight-column", !is_for_model);
    else if (options_.names && !options_.names->weight.empty() && !wanted.is_refused)
      weight_ = find(options_.names->weight);
    if (is_for_model && weight_ && !is_more_than_features(*weight_)) weight_.reset();
    if (!weight_) return;
    layout_.columns[*weight_].kind = is_for_model ? Column::Kind::skipped : Column::Kind::weight;
    if (!is_for_model) layout_.weight = weight_;
  }

  /// Whether a column of rows for a model may be left out.
  bool is_more_than_features(std::size_t column) const {
    if (!layout_.header) return layout_.columns.size() > options_.features;
    if (!options_.names) return true;
    const std::vector<std::string> known = columns_named(*options_.names);
    return std::find(known.begin(), known.end(), layout_.columns[column].name) == known.end();
  }

  void find_label() {
    const std::string& wanted = options_.options.text("label");
    if (wanted != "none" && !wanted.empty())
      layout_.label = wanted_column(wanted, "--label", true);
    else if (!wanted.empty())
      layout_.label = find(wanted);
    else if (options_.names && !options_.names->features.empty())
      layout_.label = label_of_the_model();
    else
      layout_.label = usual_label();
    if (layout_.label && layout_.label == weight_)
      fail(Code::invalid_argument,
           "{}: {} is the label and, by --weight-column, the weight: name another one", what(),
           layout_.describe(*weight_));
    if (!known_.empty() && layout_.label) name_by(known_, layout_.label);
    if (layout_.label) set_kind_of_label(layout_.columns[*layout_.label], *layout_.label);
  }

  std::optional<std::size_t> find(std::string_view name) const {
    for (std::size_t c = 0; c < layout_.columns.size(); ++c)
      if (layout_.header && layout_.columns[c].name == name) return c;
    return {};
  }

  /// The column that a flag names; of one that is absent nullopt, unless it `must_exist`.
  std::optional<std::size_t> wanted_column(const std::string& wanted, std::string_view flag,
                                           bool must_exist) const {
    if (const auto named = find(wanted)) return named;
    const auto n = static_cast<std::int64_t>(layout_.columns.size());
    if (const std::optional<std::int64_t> index = to_integer(wanted)) {
      const bool exists = *index < n && *index >= -n;
      if (!exists && must_exist)
        fail(Code::invalid_argument,
             "{}: {} {}: there are {} columns: write 0 to {}, or -1 for the last one", what(), flag,
             *index, n, n - 1);
      if (!exists) return {};
      return static_cast<std::size_t>(*index < 0 ? *index + n : *index);
    }
    if (!must_exist) return {};
    std::vector<std::string> names;
    for (const Column& column : layout_.columns) names.push_back(column.name);
    if (!layout_.header)
      fail(Code::invalid_argument,
           "{}: {} '{}': the file has no header; give the column's index, from 0", what(), flag,
           printable(wanted, 60));
    fail(Code::invalid_argument, "{}: {} '{}': there is no such column{}", what(), flag,
         printable(wanted, 60), did_you_mean(wanted, names));
  }

  /// Files for predictions often have none.
  std::optional<std::size_t> label_of_the_model() const {
    const Names& names = *options_.names;
    if (layout_.header) return names.label.empty() ? std::nullopt : find(names.label);
    return known_.empty() ? std::nullopt : std::optional<std::size_t>(0);
  }

  std::optional<std::size_t> usual_label() const {
    std::vector<std::size_t> found;
    for (std::size_t c = 0; c < layout_.columns.size() && layout_.header; ++c) {
      std::string name = layout_.columns[c].name;
      std::transform(name.begin(), name.end(), name.begin(), [](char letter) {
        return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter | 0x20) : letter;
      });
      if (c != weight_ &&
          std::find(kLabelNames.begin(), kLabelNames.end(), name) != kLabelNames.end())
        found.push_back(c);
    }
    if (found.size() > 1)
      fail(Code::invalid_argument,
           "{}: the columns '{}' and '{}' could both be the label: name it by --label", what(),
           layout_.columns[found[0]].name, layout_.columns[found[1]].name);
    // As wide as the model: a file for predictions, without labels.
    const std::size_t columns = layout_.columns.size() - (weight_ ? 1 : 0);
    if (found.empty() && options_.features == columns) return {};
    std::size_t chosen = found.empty() ? 0 : found[0];
    // An index that was written with the table, and weights, are passed over.
    while (found.empty() && chosen + 1 < layout_.columns.size() &&
           layout_.columns[chosen].kind != Column::Kind::number)
      ++chosen;
    if (options_.is_further_file) return chosen;
    if (found.empty())
      layout_.notices.push_back(
          fmt::format("{}: labels are read from {}, because no column is named as a label; --label "
                      "names another one, or none",
                      what(), layout_.describe(chosen)));
    else
      log::info("{}: labels are read from {}", what(), layout_.describe(chosen));
    return chosen;
  }

  void set_kind_of_label(Column& column, std::size_t c) const {
    bool text = options_.names && !options_.names->labels.empty();
    for (std::size_t r = first_row(); r < records_.size() && !text; ++r)
      text = c < records_[r].size() && !is_missing(records_[r][c], true) &&
             !is_number_like(records_[r][c]);
    column.kind = text ? Column::Kind::label_text : Column::Kind::label_number;
  }

  std::size_t first_row() const { return layout_.header ? 1 : 0; }

  bool is_categorical(const std::string& name) const {
    const std::vector<std::string> wanted = split(options_.options.text("categorical"), ',');
    return std::find(wanted.begin(), wanted.end(), name) != wanted.end();
  }

  void set_kind(std::size_t c) {
    Column& column = layout_.columns[c];
    if (column.kind == Column::Kind::skipped) return;
    if (options_.names && !options_.names->features.empty()) return set_kind_by_names(column);
    if (is_categorical(column.name)) {
      column.kind = Column::Kind::text;
      return;
    }
    std::size_t numbers = 0;
    std::size_t texts = 0;
    std::string example;
    std::size_t example_row = 0;
    for (std::size_t r = first_row(); r < records_.size(); ++r) {
      if (c >= records_[r].size() || is_missing(records_[r][c], false)) continue;
      if (records_[r][c] == "?") continue;
      if (is_number_like(records_[r][c])) {
        ++numbers;
      } else if (texts++ == 0) {
        example = records_[r][c];
        example_row = r + 1 - first_row();
      }
    }
    // A few texts among numbers are errors, which the rows' parser names.
    if (texts * 10 <= numbers) return;
    column.kind = Column::Kind::text;
    if (options_.options.text("text_columns") == "refuse")
      fail(Code::data_corrupt,
           "{}: row {}, {}: '{}' is text where numbers are expected: remove the column, or read it "
           "as categories by --text-columns onehot",
           what(), example_row, layout_.describe(c), printable(example, 40));
  }

  /// Throws unless each column that the model learned from is there.
  void require_columns() const {
    if (!options_.names) return;
    for (const std::string& known : columns_named(*options_.names))
      if (std::none_of(layout_.columns.begin(), layout_.columns.end(),
                       [&](const Column& column) { return column.name == known; }))
        fail(Code::invalid_argument, "{}: the column '{}' is missing, which the model learned from",
             what(), printable(known, 60));
  }

  void set_kind_by_names(Column& column) {
    const std::vector<std::string>& features = options_.names->features;
    const std::string prefix = column.name + "=";
    column.kind = Column::Kind::skipped;
    for (const std::string& feature : features) {
      if (feature == column.name) column.kind = Column::Kind::number;
      if (feature.starts_with(prefix)) column.kind = Column::Kind::text;
      if (column.kind != Column::Kind::skipped) return;
    }
    if (left_out_.size() < 200)
      left_out_ += fmt::format("{}'{}'", left_out_.empty() ? "" : ", ", printable(column.name, 60));
  }

  void number_slots() {
    for (Column& column : layout_.columns) {
      if (column.kind == Column::Kind::number) column.slot = layout_.numbers++;
      if (column.kind == Column::Kind::text) column.slot = layout_.dictionaries++;
    }
    for (Column& column : layout_.columns)
      if (column.kind == Column::Kind::label_text) column.slot = layout_.dictionaries++;
  }

  const std::vector<Record>& records_;
  Layout& layout_;
  const ReadOptions& options_;
  std::string left_out_;            ///< columns that the model does not know
  std::vector<std::string> known_;  ///< the names of all columns but the label's and the weights'
  std::optional<std::size_t> weight_;  ///< the column of weights, used or not
};

Layout::Missing missing_of(const Options& options) {
  const std::string& wanted = options.text("missing");
  return wanted == "mean"   ? Layout::Missing::mean
         : wanted == "zero" ? Layout::Missing::zero
                            : Layout::Missing::refuse;
}

}  // namespace

std::string Layout::describe(std::size_t column) const {
  if (column >= columns.size()) return fmt::format("column {}", column);
  const std::string& name = columns[column].name;
  return header ? fmt::format("column '{}'", printable(name, 60)) : fmt::format("column {}", name);
}

void fail_at(const Layout& layout, std::string_view text, std::size_t offset, std::size_t row,
             const Fault& fault, const ReadOptions& options) {
  fail(Code::data_corrupt, "{}:{}: {}, {}: {}", options.what,
       options.lines_before + line_of(text, offset),
       row == 0 ? "header" : fmt::format("row {}", options.rows_before + row),
       layout.describe(fault.column), fault.message);
}

Layout layout_of(std::string_view text, const ReadOptions& options) {
  Layout layout;
  layout.quoted = text.find('"') != std::string_view::npos;
  layout.missing = missing_of(options.options);
  // Names with fills are those of a model that fills.
  if (options.names && !options.names->fills.empty() && layout.missing == Layout::Missing::refuse)
    layout.missing = Layout::Missing::zero;
  BlockCutter cutter(text, options.what, layout.quoted);
  std::string tail;
  std::string_view head = cutter.next(tail);
  layout.delimiter = delimiter_for(head, options);
  Sample sample = sample_of(head, layout.delimiter, kRecords);
  if (sample.records.empty() && sample.fault)
    fail_at(layout, text, static_cast<std::size_t>(sample.fault->at - head.data()), 0,
            *sample.fault, options);
  if (sample.records.empty())
    fail(Code::data_corrupt, "reading {}: the data set is empty; give one with rows", options.what);
  if (sample.records.size() == 1 && !cutter.done()) {
    // One record filled the block: a second one tells whether it is a header.
    std::string second_tail;
    Sample second = sample_of(cutter.next(second_tail), layout.delimiter, kRecords);
    for (Record& record : second.records) sample.records.push_back(std::move(record));
  }
  if (sample.records[0].size() > kMostNames)
    fail(Code::data_corrupt, "{}: it has more than {} columns; write it as LIBSVM text",
         options.what, kMostNames);
  layout.header = has_header(sample.records, options);
  // The last line may lack its newline.
  if (layout.header) layout.begin = std::min(sample.ends[0], text.size());
  Builder(sample.records, layout, options).build();
  return layout;
}

bool looks_like_csv(std::string_view head) {
  head = without_mark(head);
  // A line that the head cuts off says little, unless it is the only one.
  std::string lines(head.substr(0, head.rfind('\n') + 1));
  if (lines.find_first_not_of("\r\n") == std::string::npos) lines = std::string(head) + "\n";
  lines.append(32, '\n');
  const std::string_view text(lines);
  // LIBSVM: after at most one token, an index and a colon.
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos || text[begin] == '#') return false;
  const std::string_view line = text.substr(begin, text.find('\n', begin) - begin);
  std::size_t from = 0;
  for (int token = 0; token < 2 && from < line.size(); ++token) {
    const std::size_t end = std::min(line.find_first_of(" \t\r", from), line.size());
    const std::string_view word = line.substr(from, end - from);
    const std::size_t colon = word.find(':');
    if (word.starts_with("qid:") ||
        (colon != std::string_view::npos && colon != 0 &&
         word.substr(0, colon).find_first_not_of("0123456789") == std::string_view::npos))
      return false;
    from = std::min(line.find_first_not_of(" \t\r", end), line.size());
  }
  return find_delimiter(text).has_value();
}

}  // namespace lambdaml::data::csv
