#include <algorithm>
#include <cmath>

#include "lambdaml/model/class_weights.h"
#include "lambdaml/model/classification.h"
#include "lambdaml/model/linear.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/model/scaling.h"

namespace lambdaml::model::lr {
namespace {

/// Logistic regression: log(1 + exp(−(2y − 1) z)) for two classes, the cross-entropy of softmax(z)
/// for more.
class LogisticRegression final : public LinearModel {
 public:
  LogisticRegression(const Shape& shape, const Options& options)
      : LinearModel(shape, options, "logistic regression"), is_binary_(shape.classes() == 2) {}

  bool has_probabilities() const override { return true; }

 private:
  tensor::Loss one_margin() const override { return tensor::Loss::logistic; }

  /// σ'(z) ≤ ¼; of the softmax ½ (Böhning 1992: "Multinomial logistic regression algorithm").
  double curvature() const override { return is_binary_ ? 0.25 : 0.5; }

  double many_classes(const Margins& rows, double& correct) const override {
    return softmax(rows, correct);
  }
  double many_classes(const DoubleMargins& rows, double& correct) const override {
    return softmax(rows, correct);
  }
  template <class Real>
  static double softmax(const BasicMargins<Real>& rows, double& correct) {
    double loss = 0;
    for (std::size_t i = 0; i < rows.n; ++i) {
      Real* z = rows.z + i;
      const auto target = static_cast<std::size_t>(rows.targets[i]);
      const std::size_t best = winner(rows, i);
      correct += best == target ? 1 : 0;
      // Relative to the largest margin no exponential overflows.
      const Real largest = z[best * rows.stride];
      const Real of_target = z[target * rows.stride] - largest;
      Real sum = 0;
      for (std::size_t c = 0; c < rows.classes; ++c) {
        Real& margin = z[c * rows.stride];
        margin = std::exp(margin - largest);
        sum += margin;
      }
      loss += std::log(static_cast<double>(sum)) - of_target;
      const Real scale = 1 / sum;
      for (std::size_t c = 0; c < rows.classes; ++c) z[c * rows.stride] *= scale;
      z[target * rows.stride] -= 1;
    }
    return loss;
  }

  void probabilities(const Margins& rows, float* out) const override {
    for (std::size_t i = 0; i < rows.n; ++i) {
      const float* z = rows.z + i;
      double others = 0;  // Σ exp(z_c − z_target) over the other classes
      if (rows.classes == 1) {
        others = std::exp(rows.targets[i] > 0 ? -static_cast<double>(z[0]) : z[0]);
      } else {
        const auto target = static_cast<std::size_t>(rows.targets[i]);
        for (std::size_t c = 0; c < rows.classes; ++c)
          if (c != target)
            others += std::exp(static_cast<double>(z[c * rows.stride]) - z[target * rows.stride]);
      }
      out[i] = static_cast<float>(1.0 / (1.0 + others));
    }
  }

  void class_probabilities(const Margins& rows, std::size_t i, float* out) const override {
    const float* z = rows.z + i;
    if (rows.classes == 1) {
      out[0] = static_cast<float>(1 / (1 + std::exp(static_cast<double>(z[0]))));
      out[1] = static_cast<float>(1 / (1 + std::exp(-static_cast<double>(z[0]))));
      return;
    }
    const double largest = z[winner(rows, i) * rows.stride];
    double sum = 0;
    for (std::size_t c = 0; c < rows.classes; ++c) sum += std::exp(z[c * rows.stride] - largest);
    for (std::size_t c = 0; c < rows.classes; ++c)
      out[c] = static_cast<float>(std::exp(z[c * rows.stride] - largest) / sum);
  }

  bool is_binary_;
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "lr",
                .help = "logistic regression, two classes or more (softmax)",
                .aliases = {"sparse_lr"},
                .takes_weights = true,
                .optimizers = {"lbfgs", "grad_avg"},
                .metrics = classification_metrics(),
                .measures = classification_measures(),
                .options = linear_options({scale_option(), class_weight_option()}),
                .make = [](const Shape& shape, const Options& options) {
                  return std::make_unique<LogisticRegression>(shape, options);
                }});
}

}  // namespace lambdaml::model::lr
