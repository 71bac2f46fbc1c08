#pragma once

#include "lambdaml/model/engine.h"

namespace at {
class Tensor;
}

namespace lambdaml::torch_library {

/// What a pass gives besides the output.
enum class Purpose {
  learn,  ///< runs the backward pass; the totals are loss, rows and correct
  judge,  ///< all totals, without label smoothing and class weights
};

/// The loss of a network's output for the pass's target, by the rules of model::Engine. Throws
/// invalid_argument if the output has another shape than the loss takes.
model::Totals totals_of(const at::Tensor& output, const model::Pass& pass,
                        const model::EngineSettings& settings, Purpose purpose);

}  // namespace lambdaml::torch_library
