#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "lambdaml/comm/communicator.h"
#include "lambdaml/model/model.h"
#include "lambdaml/optim/optimizer.h"

/// What several optimizers need.
namespace lambdaml::optim {

/// The model as one with gradients; throws invalid_argument naming the optimizer when it is none.
model::GradientModel& gradient_model(model::Model& model, std::string_view optimizer);

/// Merges values and totals in place; returns the number of contributions. Throws diverged when
/// what comes back is not finite: the training has diverged, on all workers alike.
std::size_t merge(comm::Communicator& communicator, std::span<float> values, model::Totals& totals,
                  comm::Meaning meaning, const Position& position);
/// The same by Communicator::finish, of states.
std::size_t finish_states(comm::Communicator& communicator, std::span<float> values,
                          model::Totals& totals, const Position& position);

/// Totals as scalars of a state and back.
void append(std::vector<double>& scalars, const model::Totals& totals);
model::Totals take_totals(std::span<const double> scalars, std::size_t at);
/// Throws data_corrupt unless there are exactly `expected`.
void check_scalars(std::span<const double> scalars, std::size_t expected);

}  // namespace lambdaml::optim
