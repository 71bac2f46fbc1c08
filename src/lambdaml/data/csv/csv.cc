#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/csv/block.h"
#include "lambdaml/data/csv/layout.h"
#include "lambdaml/data/csv/sample.h"
#include "lambdaml/data/csv/table.h"
#include "lambdaml/data/csv/write.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/data/shared_options.h"
#include "lambdaml/data/text/blocks.h"

/// Comma-separated values, with any delimiter: a header or none, a column of labels, columns of
/// numbers, and columns of texts, which become one column of zeros and ones per text.
namespace lambdaml::data::csv {
namespace {

struct Piece {
  std::size_t begin = 0;  ///< in the file
  std::string_view text;
  std::string tail;
  Block block;
  Table::Place place;
};

/// Parses blocks wave by wave: several in parallel, then each is copied to its place.
Dataset read_rows(std::string_view text, const Layout& layout, const ReadOptions& options) {
  const std::size_t threads = std::max<std::size_t>(options.threads, 1);
  Table table(layout, options);
  BlockCutter cutter(text.substr(layout.begin), options.what, layout.quoted);
  std::vector<Piece> pieces(threads == 1 ? 1 : threads * BlockCutter::kBlocksPerThread);
  std::size_t begin = layout.begin;
  while (!cutter.done()) {
    const bool first_wave = begin == layout.begin;
    std::size_t n = 0;
    for (; n < pieces.size() && !cutter.done(); ++n) {
      pieces[n].begin = begin;
      pieces[n].text = cutter.next(pieces[n].tail);
      begin = layout.begin + cutter.position();
    }
    parallel_for(n, threads,
                 [&](std::size_t i) { parse_block(pieces[i].text, layout, pieces[i].block); });
    std::size_t rows = table.rows();
    const auto fail_in = [&](const Piece& piece, const Fault& fault) {
      fail_at(layout, text, piece.begin + static_cast<std::size_t>(fault.at - piece.text.data()),
              rows + 1, fault, options);
    };
    for (std::size_t i = 0; i < n; ++i) {
      rows += pieces[i].block.rows;
      if (pieces[i].block.fault) fail_in(pieces[i], *pieces[i].block.fault);
    }
    if (first_wave)
      table.reserve(1.03 * static_cast<double>(rows) *
                    static_cast<double>(text.size() - layout.begin) /
                    static_cast<double>(begin - layout.begin));
    for (std::size_t i = 0; i < n; ++i) pieces[i].place = table.extend(pieces[i].block);
    parallel_for(n, threads, [&](std::size_t i) { table.place(pieces[i].place, pieces[i].block); });
  }
  return std::move(table).finish();
}

bool recognizes(Bytes head) { return is_text(head) && looks_like_csv(as_text(head)); }

Dataset read(const std::shared_ptr<const Buffer>& bytes, const ReadOptions& options) {
  const std::string_view text = without_mark(bytes->text());
  if (text.empty())
    fail(Code::data_corrupt, "reading {}: the data set is empty; give one with rows", options.what);
  const Layout layout = layout_of(text, options);
  Dataset out = read_rows(text, layout, options);
  for (const std::string& notice : layout.notices) log::warn_once(notice);
  return out;
}

/// Whether a line end is between quotes.
bool has_line_end_in_quotes(std::string_view lines) {
  if (lines.find('"') == std::string_view::npos) return false;
  bool inside = false;
  for (const char c : lines) {
    if (c == '"') inside = !inside;
    if (c == '\n' && inside) return true;
  }
  return false;
}

class Blocks : public BlockReader {
 public:
  Blocks(std::string_view head, const ReadOptions& options) {
    const std::string_view text = without_mark(head);
    if (text.empty())
      fail(Code::data_corrupt, "reading {}: the data set is empty; give one with rows",
           options.what);
    layout_ = layout_of(text, options);
    first_row_ = head.size() - text.size() + layout_.begin;
    layout_.begin = 0;
    const bool known = options.names && !options.names->fills.empty();
    layout_.keeps_missing = layout_.missing != Layout::Missing::refuse && !known;
    names_ = options.names ? options.names : names_of_columns();
  }

  std::uint64_t first_row() const override { return first_row_; }
  std::shared_ptr<const Names> names() const override { return names_; }
  std::vector<std::string> notices() const override { return layout_.notices; }
  bool rows_are_lines(std::string_view lines) const override {
    return !has_line_end_in_quotes(lines);
  }
  Fill fill() const override {
    return !layout_.keeps_missing                     ? Fill::nothing
           : layout_.missing == Layout::Missing::mean ? Fill::mean
                                                      : Fill::zero;
  }
  Form form_of(std::uint64_t rows, std::uint64_t cols, std::uint64_t nonzeros) const override {
    return csv::form_of(Form::automatic, rows, cols, nonzeros);
  }
  Dataset read(std::string_view lines, const ReadOptions& options) const override {
    if (lines.empty()) return {};
    Layout layout = layout_;
    layout.quoted = lines.find('"') != std::string_view::npos;
    return read_rows(lines, layout, options);
  }

 private:
  /// Those of a model with the same columns, each text column with one category.
  std::shared_ptr<const Names> names_of_columns() const {
    Names names;
    for (const Column& column : layout_.columns) {
      if (column.kind == Column::Kind::number) names.features.push_back(column.name);
      if (column.kind == Column::Kind::text) names.features.push_back(column.name + "=");
      if (column.kind == Column::Kind::label_text) names.labels = {""};
    }
    const bool has_texts = layout_.numbers != names.features.size();
    if (!layout_.header && !has_texts) return nullptr;
    if (layout_.header && layout_.label) names.label = layout_.columns[*layout_.label].name;
    return std::make_shared<const Names>(std::move(names));
  }

  Layout layout_;
  std::uint64_t first_row_ = 0;
  std::shared_ptr<const Names> names_;
};

std::vector<Option> options() {
  return {
      label_option(),
      weight_column_option(),
      {.name = "delimiter",
       .default_value = std::string("auto"),
       .help = "character between the fields of a row; auto finds a comma, ;, | or tab"},
      {.name = "header",
       .default_value = std::string("auto"),
       .help = "whether the first row has the columns' names",
       .choices = {"auto", "yes", "no"}},
      {.name = "missing",
       .default_value = std::string("refuse"),
       .help = "what a missing number becomes; a missing text is then none of the categories",
       .choices = {"refuse", "mean", "zero"}},
      {.name = "text_columns",
       .default_value = std::string("onehot"),
       .help = "what a column of texts becomes: a feature of 0 and 1 for each text, or an error",
       .choices = {"onehot", "refuse"}},
      {.name = "categorical",
       .default_value = std::string(),
       .help = "columns that are read as texts though they look like numbers: NAME,…"}};
}

}  // namespace

void register_plugin(Registry& registry) {
  registry.add(
      {.name = "csv",
       .formats = {"csv"},
       .help = "text, a row a line, fields between commas, semicolons, tabs or bars",
       .recognizes = recognizes,
       .read = read,
       .write = write,
       .blocks = [](std::string_view head, const ReadOptions& how) -> std::unique_ptr<BlockReader> {
         return std::make_unique<Blocks>(head, how);
       },
       .options = options(),
       .is_meant_by = [](const Options& given) { return given.text("delimiter") != "auto"; }});
}

}  // namespace lambdaml::data::csv
