#include "lambdaml/model/model.h"

#include <vector>

namespace lambdaml::model {

void GradientModel::add_losses_along(const Batch& batch, std::span<const float> parameters,
                                     std::span<const float> direction,
                                     std::span<const double> lengths, std::span<double> losses) {
  std::vector<float> point(parameters.size());
  for (std::size_t k = 0; k < lengths.size(); ++k) {
    for (std::size_t i = 0; i < point.size(); ++i)
      point[i] = static_cast<float>(parameters[i] + lengths[k] * direction[i]);
    losses[k] += evaluate(batch, point).loss;
  }
}

}  // namespace lambdaml::model
