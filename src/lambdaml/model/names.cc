#include "lambdaml/model/names.h"

#include <algorithm>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"

namespace lambdaml::model {
namespace {

bool has_feature_names(const Shape& shape) { return shape.names && !shape.names->features.empty(); }

}  // namespace

bool has_label_texts(const Shape& shape) { return shape.names && !shape.names->labels.empty(); }

std::string label_text(const Shape& shape, std::size_t c) {
  const std::int32_t label = shape.labels.at(c);
  return has_label_texts(shape) ? shape.names->labels.at(static_cast<std::size_t>(label))
                                : std::to_string(label);
}

std::string feature_text(const Shape& shape, std::size_t j) {
  return has_feature_names(shape) ? shape.names->features.at(j) : std::to_string(j + 1);
}

std::optional<std::size_t> find_feature(const Shape& shape, std::string_view text) {
  if (has_feature_names(shape)) {
    const std::vector<std::string>& names = shape.names->features;
    const auto at = std::ranges::find(names, text);
    if (at != names.end()) return static_cast<std::size_t>(at - names.begin());
  }
  const std::optional<std::int64_t> number = to_integer(text);
  if (!number || *number < 1 || static_cast<std::uint64_t>(*number) > shape.features) return {};
  return static_cast<std::size_t>(*number - 1);
}

void require_two_classes(const Shape& shape, const std::string& what) {
  if (shape.classes() != 1) return;
  const bool has_column = shape.names && !shape.names->label.empty();
  const std::string column =
      has_column ? fmt::format(" of column '{}'", printable(shape.names->label, 60)) : "";
  fail(Code::invalid_argument,
       "{} needs rows of at least two classes, and every label{} is {}: name the column of labels "
       "by --label, or add rows of other classes",
       what, column, printable(label_text(shape, 0), 60));
}

}  // namespace lambdaml::model
