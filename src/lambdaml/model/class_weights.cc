#include "lambdaml/model/class_weights.h"

#include <cmath>
#include <numeric>
#include <optional>
#include <string>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/model/names.h"

namespace lambdaml::model {
namespace {

constexpr const char* kBalanced = "balanced";
constexpr const char* kOption = "class_weight";

std::optional<std::size_t> find_class(const Shape& shape, const std::string& label) {
  for (std::size_t c = 0; c < shape.classes(); ++c)
    if (label_text(shape, c) == label) return c;
  if (has_label_texts(shape)) return {};
  const auto number = to_integer(label);
  for (std::size_t c = 0; number && c < shape.classes(); ++c)
    if (shape.labels[c] == *number) return c;
  return {};
}

std::vector<float> balanced(std::span<const double> class_rows) {
  const double rows = std::accumulate(class_rows.begin(), class_rows.end(), 0.0);
  std::vector<float> weights;
  for (const double n : class_rows)
    weights.push_back(
        n > 0 ? static_cast<float>(rows / (static_cast<double>(class_rows.size()) * n)) : 1.0F);
  return weights;
}

}  // namespace

Option class_weight_option() {
  return {.name = kOption,
          .default_value = std::string(),
          .help =
              "weights of the classes' rows in the loss: balanced (rows / (classes · rows of "
              "the class)), or LABEL=WEIGHT,… with 1 for others"};
}

bool are_balanced(const Options& options) { return options.text(kOption) == kBalanced; }

std::vector<float> class_weights(const Options& options, const Shape& shape,
                                 std::span<const double> class_rows) {
  if (are_balanced(options)) return balanced(class_rows);
  std::vector<float> weights(shape.classes(), 1.0F);
  std::vector<bool> given(shape.classes());
  for (const std::string& part : split(options.text(kOption), ',')) {
    // A label's text may contain the sign, too.
    const std::size_t equals = part.rfind('=');
    const auto weight =
        equals == std::string::npos ? std::nullopt : to_real(trim(part.substr(equals + 1)));
    if (!weight || !std::isfinite(*weight) || !(static_cast<float>(*weight) > 0))
      fail(Code::invalid_argument,
           "{} '{}': write balanced, or a weight above 0 for labels, as 0=1,1=2.5", kOption,
           printable(options.text(kOption)));
    const std::string label(trim(part.substr(0, equals)));
    const std::optional<std::size_t> c = find_class(shape, label);
    if (!c)
      fail(Code::invalid_argument, "{}: the data have no label '{}'", kOption, printable(label));
    if (given[*c])
      fail(Code::invalid_argument, "{}: '{}' is given twice", kOption, printable(label));
    given[*c] = true;
    weights[*c] = static_cast<float>(*weight);
  }
  return weights;
}

}  // namespace lambdaml::model
