#include "lambdaml/data/csv/layout.h"

#include <algorithm>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/csv/columns.h"
#include "lambdaml/data/csv/sample.h"
#include "lambdaml/data/text/blocks.h"

namespace lambdaml::data::csv {
namespace {

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
  Sample sample = sample_of(head, layout.delimiter);
  if (sample.records.empty() && sample.fault)
    fail_at(layout, text, static_cast<std::size_t>(sample.fault->at - head.data()), 0,
            *sample.fault, options);
  if (sample.records.empty())
    fail(Code::data_corrupt, "reading {}: the data set is empty; give one with rows", options.what);
  if (sample.records.size() == 1 && !cutter.done()) {
    // One record filled the block: a second one tells whether it is a header.
    std::string second_tail;
    Sample second = sample_of(cutter.next(second_tail), layout.delimiter);
    for (Record& record : second.records) sample.records.push_back(std::move(record));
  }
  if (sample.records[0].size() > kMostNames)
    fail(Code::data_corrupt, "{}: it has more than {} columns; write it as LIBSVM text",
         options.what, kMostNames);
  layout.header = has_header(sample.records, options);
  // The last line may lack its newline.
  if (layout.header) layout.begin = std::min(sample.ends[0], text.size());
  find_columns(sample.records, options, layout);
  return layout;
}

}  // namespace lambdaml::data::csv
