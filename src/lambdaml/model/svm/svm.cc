#include <algorithm>

#include "lambdaml/base/error.h"
#include "lambdaml/model/class_weights.h"
#include "lambdaml/model/classification.h"
#include "lambdaml/model/linear.h"
#include "lambdaml/model/losses.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/model/scaling.h"

namespace lambdaml::model::svm {
namespace {

constexpr const char* kSquaredHinge = "squared_hinge";

/// Linear support vector machine, s = ±1: the hinge loss max(0, 1 − s z), trained along its
/// subgradient, or its square, which has a gradient everywhere. More than two classes: the sum of
/// the losses of each class against the rest.
class SupportVectorMachine final : public LinearModel {
 public:
  SupportVectorMachine(const Shape& shape, const Options& options)
      : LinearModel(shape, options, "the support vector machine"),
        is_squared_(options.text("loss") == kSquaredHinge) {
    if (!is_squared_ && options.text("loss") != "hinge")
      fail(Code::invalid_argument, "svm has the losses hinge and squared_hinge, not {}",
           options.text("loss"));
  }

 private:
  tensor::Loss one_margin() const override {
    return is_squared_ ? tensor::Loss::squared_hinge : tensor::Loss::hinge;
  }

  double curvature() const override { return is_squared_ ? 2 : 1; }

  double many_classes(const Margins& rows, double& correct) const override {
    return one_against_rest(rows, correct);
  }
  double many_classes(const DoubleMargins& rows, double& correct) const override {
    return one_against_rest(rows, correct);
  }
  template <class Real>
  double one_against_rest(const BasicMargins<Real>& rows, double& correct) const {
    for (std::size_t i = 0; i < rows.n; ++i)
      correct += winner(rows, i) == static_cast<std::size_t>(rows.targets[i]) ? 1 : 0;
    double loss = 0;
    for (std::size_t c = 0; c < rows.classes; ++c) {
      Real* z = rows.z + c * rows.stride;
      for (std::size_t i = 0; i < rows.n; ++i) {
        const Real sign = rows.targets[i] == static_cast<float>(c) ? 1 : -1;
        const Real slack = std::max(Real{0}, 1 - sign * z[i]);
        loss += is_squared_ ? slack * slack : slack;
        const Real slope = is_squared_ ? 2 * slack : 1;
        z[i] = slack > 0 ? -sign * slope : 0;
      }
    }
    return loss;
  }

  bool is_squared_;
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "svm",
                .help = "linear support vector machine, two classes or more",
                .aliases = {"sparse_svm"},
                .takes_weights = true,
                .optimizers = {"lbfgs", "grad_avg"},
                .metrics = classification_metrics(),
                .measures = classification_measures(),
                .options = linear_options({loss_option(), scale_option(), class_weight_option()}),
                .make = [](const Shape& shape, const Options& options) {
                  return std::make_unique<SupportVectorMachine>(shape, options);
                }});
}

}  // namespace lambdaml::model::svm
