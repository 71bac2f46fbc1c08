#include "lambdaml/model/classification.h"
#include "lambdaml/model/linear.h"
#include "lambdaml/model/registry.h"

namespace lambdaml::model::svm {
namespace {

/// Linear support vector machine, trained along the subgradient of the hinge loss max(0, 1 − s z),
/// s = ±1. More than two classes: the sum of the hinge losses of each class against the rest.
class SupportVectorMachine final : public LinearModel {
 public:
  SupportVectorMachine(const Shape& shape, const Options& options)
      : LinearModel(shape, options, "the support vector machine") {}

 private:
  tensor::Loss two_classes() const override { return tensor::Loss::hinge; }

  double many_classes(const Margins& rows, double& correct) const override {
    for (std::size_t i = 0; i < rows.n; ++i)
      correct += winner(rows, i) == static_cast<std::size_t>(rows.targets[i]) ? 1 : 0;
    double loss = 0;
    for (std::size_t c = 0; c < rows.classes; ++c) {
      float* z = rows.z + c * rows.stride;
      for (std::size_t i = 0; i < rows.n; ++i) {
        const float sign = rows.targets[i] == static_cast<float>(c) ? 1.0F : -1.0F;
        const float slack = 1.0F - sign * z[i];
        loss += slack > 0 ? slack : 0.0F;
        z[i] = slack > 0 ? -sign : 0.0F;
      }
    }
    return loss;
  }
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "svm",
                .help = "linear support vector machine (hinge loss), two classes or more",
                .aliases = {"sparse_svm"},
                .metrics = classification_metrics(),
                .measures = classification_measures(),
                .make = [](const Shape& shape, const Options& options) {
                  return std::make_unique<SupportVectorMachine>(shape, options);
                }});
}

}  // namespace lambdaml::model::svm
