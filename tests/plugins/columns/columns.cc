#include <charconv>

#include <fmt/format.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/array.h"
#include "lambdaml/data/registry.h"

/// A format with an option: after a first line that names it, a line for each row, its label and
/// its values, with a separator between them that the option `column_separator` names.
namespace lambdaml::data::columns {
namespace {

/// It begins with a record separator, which is in no text.
constexpr std::string_view kFirstLine =
    "\x1e"
    "columns\n";

bool recognizes(Bytes head) { return as_text(head).starts_with(kFirstLine); }

template <class Number>
Number number(std::string_view text, const ReadOptions& options, std::size_t line) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    fail(Code::data_corrupt, "reading {}: line {}: '{}' is no number", options.what, line,
         printable(text));
  return value;
}

Dataset read(const std::shared_ptr<const Buffer>& bytes, const ReadOptions& options) {
  std::string_view text = bytes->text();
  if (!text.starts_with(kFirstLine))
    fail(Code::data_corrupt, "reading {}: line 1: it is not '{}'", options.what,
         printable(trim(kFirstLine)));
  if (!text.ends_with('\n'))
    fail(Code::data_corrupt, "reading {}: the last line does not end", options.what);
  text = text.substr(kFirstLine.size());
  const char separator = options.options.text("column_separator")[0];
  std::vector<float> values;
  std::vector<std::int32_t> labels;
  std::size_t cols = 0;
  while (!text.empty()) {
    const std::size_t line = labels.size() + 2;
    const std::vector<std::string> parts = split(text.substr(0, text.find('\n')), separator);
    if (labels.empty()) cols = parts.size() - 1;
    if (parts.size() != cols + 1)
      fail(Code::data_corrupt, "reading {}: line {}: {} values, and the first row has {}",
           options.what, line, parts.size() - 1, cols);
    labels.push_back(number<std::int32_t>(parts[0], options, line));
    for (std::size_t i = 1; i < parts.size(); ++i)
      values.push_back(number<float>(parts[i], options, line));
    text = text.substr(text.find('\n') + 1);
  }
  Array<float> all(values.size());
  std::ranges::copy(values, all.data());
  Array<std::int32_t> of_rows(labels.size());
  std::ranges::copy(labels, of_rows.data());
  const Dataset rows = dense_dataset(std::move(all), labels.size(), cols, std::move(of_rows));
  return options.form == Form::sparse ? in_form(rows, options.form) : rows;
}

Buffer write(const Dataset& dataset) {
  require_features(dataset, "writing columns");
  if (dataset.labels.empty()) fail(Code::invalid_argument, "the format columns needs labels");
  const Dataset dense = in_form(dataset, Form::dense);
  const auto& view = std::get<tensor::DenseView>(dense.features);
  std::string out(kFirstLine);
  for (std::size_t r = 0; r < view.rows; ++r) {
    out += std::to_string(dense.labels[r]);
    for (const float value : view.row(r)) out += fmt::format(";{}", value);
    out += '\n';
  }
  return Buffer(as_bytes(out));
}

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "columns",
                .formats = {"columns"},
                .help = "a label and the values of a row in each line",
                .recognizes = recognizes,
                .read = read,
                .write = write,
                .options = {{.name = "column_separator",
                             .default_value = std::string(";"),
                             .help = "what lies between two columns",
                             .choices = {";", ",", "|"}}}});
}

}  // namespace lambdaml::data::columns
