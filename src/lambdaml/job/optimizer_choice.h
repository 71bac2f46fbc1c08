#pragma once

#include <string>

#include "lambdaml/base/options.h"
#include "lambdaml/model/registry.h"

namespace lambdaml::job {

/// The optimizer of a job of `model`: the option `optim` if it is set; otherwise the first of
/// Plugin::optimizers that can do what the job's other options ask for, or the last one. An
/// optimizer cannot if an option of another one of these is set that it does not have (a learning
/// rate, for L-BFGS), a batch size where it takes one step for each pass, a pattern that does not
/// wait for all workers where it needs them, compression where it merges states, or a loss of the
/// model for which it is not made. So a job file that was written for gradient descent keeps its
/// meaning.
std::string choose_optimizer(const Options& options, const model::Plugin& model);

/// For the option `optim` of a new job: throws invalid_argument if an option of the model has a
/// value for which that optimizer is not made (the hinge loss has corners, where L-BFGS finds no
/// gradient).
void check_optimizer(const Options& options, const model::Plugin& model);

}  // namespace lambdaml::job
