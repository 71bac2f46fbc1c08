#include "lambdaml/model/linear.h"

#include <cmath>

#include "lambdaml/model/registry.h"
#include "lambdaml/model/regression.h"
#include "lambdaml/model/scaling.h"

namespace lambdaml::model::linear {
namespace {

/// Linear regression: ½ (z − y)². Its penalties make it ridge regression (l2) and the lasso
/// (lambda).
class LinearRegression final : public LinearModel {
 public:
  LinearRegression(const Shape& shape, const Options& options)
      : LinearModel(shape, options, Numbers{}) {}

 private:
  tensor::Loss one_margin() const override { return tensor::Loss::squared; }
  double curvature() const override { return 1; }
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "linear",
                .help = "linear regression of a number; with penalties ridge (l2), lasso (lambda)",
                .predicts_numbers = true,
                .takes_weights = true,
                .optimizers = {"lbfgs", "grad_avg"},
                .metrics = regression_metrics(),
                .tabulate = table_of_numbers,
                .options = linear_options({scale_option()}),
                .make = [](const Shape& shape, const Options& options) {
                  return std::make_unique<LinearRegression>(shape, options);
                }});
}

}  // namespace lambdaml::model::linear
