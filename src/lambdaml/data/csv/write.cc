#include "lambdaml/data/csv/write.h"

#include <iterator>

#include <fmt/format.h>

#include "lambdaml/base/error.h"
#include "lambdaml/data/array.h"

namespace lambdaml::data::csv {
namespace {

std::string quoted(const std::string& text) {
  if (text.find_first_of(",;|\t\"\r\n") == std::string::npos && !text.empty() &&
      text.front() != ' ' && text.back() != ' ')
    return text;
  std::string out = "\"";
  for (const char c : text) out.append(c == '"' ? 2 : 1, c);
  return out + "\"";
}

}  // namespace

Buffer write(const Dataset& dataset) {
  require_features(dataset, "writing CSV");
  const Dataset dense = in_form(dataset, Form::dense);
  const auto& view = std::get<tensor::DenseView>(dense.features);
  const Names names = dataset.names ? *dataset.names : Names();
  const bool labelled = !dataset.labels.empty() || !dataset.targets.empty();
  if (!labelled)
    fail(Code::invalid_argument, "writing CSV: the first column would be taken for the labels");
  std::string text;
  text = names.label.empty() ? "label" : quoted(names.label);
  for (std::size_t c = 0; c < view.cols; ++c) {
    text += ',';
    text += names.features.empty() ? fmt::format("x{}", c) : quoted(names.features[c]);
  }
  text += '\n';
  const auto out = std::back_inserter(text);
  for (std::size_t r = 0; r < view.rows; ++r) {
    if (!dataset.targets.empty())
      fmt::format_to(out, "{}", dataset.targets[r]);
    else if (!names.labels.empty())
      text += quoted(names.labels[static_cast<std::size_t>(dataset.labels[r])]);
    else
      fmt::format_to(out, "{}", dataset.labels[r]);
    for (std::size_t c = 0; c < view.cols; ++c) {
      text += ',';
      fmt::format_to(out, "{}", view.data[r * view.cols + c]);
    }
    text += '\n';
  }
  return Buffer(as_bytes(text));
}

}  // namespace lambdaml::data::csv
