#include "lambdaml/data/csv/columns.h"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/weights.h"

namespace lambdaml::data::csv {
namespace {

constexpr std::array<std::string_view, 4> kLabelNames = {"label", "target", "class", "y"};

void require_utf8(const std::string& text, const std::string& what) {
  if (is_utf8(text)) return;
  const std::string file = what.substr(what.rfind('/') + 1);
  fail(Code::data_corrupt,
       "{}: '{}' is not UTF-8 text: convert it, for instance with: iconv -f LATIN1 -t UTF-8 {}",
       what, printable(text, 40), file);
}

/// Finds the columns by the sampled records.
class ColumnFinder {
 public:
  ColumnFinder(const std::vector<Record>& records, Layout& layout, const ReadOptions& options)
      : records_(records), layout_(layout), options_(options) {}

  void run() {
    name_columns();
    find_weight();
    take_known_names();
    find_label();
    require_categorical();
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

  /// The first column besides that of weights, if there is one more than the model's: files for
  /// predictions often have none.
  std::optional<std::size_t> label_of_the_model() const {
    const Names& names = *options_.names;
    if (layout_.header) return names.label.empty() ? std::nullopt : find(names.label);
    if (known_.empty()) return {};
    return weight_ == 0U ? 1 : 0;
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

  /// Throws unless the columns that are named as categories are there; a model says itself which
  /// ones it learned from.
  void require_categorical() const {
    if (options_.names) return;
    std::vector<std::string> names;
    for (const Column& column : layout_.columns) names.push_back(column.name);
    for (const std::string& wanted : split(options_.options.text("categorical"), ','))
      if (!wanted.empty() && std::ranges::find(names, wanted) == names.end())
        fail(Code::invalid_argument, "{}: --categorical '{}': there is no such column{}", what(),
             printable(wanted, 60), did_you_mean(wanted, names));
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

  /// Whether a feature is one of these columns or a text of one. Columns may have `=` in their
  /// names too: the numbers `colour=red` and `colour=blue` of a table that was encoded before.
  static bool is_of_one(std::string_view feature,
                        const std::unordered_set<std::string_view>& columns) {
    if (columns.contains(feature)) return true;
    for (std::size_t at = feature.find('='); at != std::string_view::npos;
         at = feature.find('=', at + 1))
      if (columns.contains(feature.substr(0, at))) return true;
    return false;
  }

  /// Throws unless each column that the model learned from is there.
  void require_columns() const {
    if (!options_.names) return;
    std::unordered_set<std::string_view> columns;
    for (const Column& column : layout_.columns) columns.insert(column.name);
    for (const std::string_view feature : options_.names->features)
      if (!is_of_one(feature, columns))
        fail(Code::invalid_argument, "{}: the column '{}' is missing, which the model learned from",
             what(), printable(feature.substr(0, feature.find('=')), 60));
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

}  // namespace

void find_columns(const std::vector<Record>& records, const ReadOptions& options, Layout& layout) {
  ColumnFinder(records, layout, options).run();
}

std::vector<std::string> columns_named(const Names& names) {
  std::vector<std::string> out;
  for (const std::string& feature : names.features) {
    std::string column = feature.substr(0, feature.find('='));
    if (out.empty() || out.back() != column) out.push_back(std::move(column));
  }
  return out;
}

}  // namespace lambdaml::data::csv
