#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/comm/communicator.h"
#include "lambdaml/model/model.h"
#include "lambdaml/optim/optimizer.h"

/// Helpers that several optimizers share.
namespace lambdaml::optim {

/// Casts to a model with gradients; throws invalid_argument, naming the optimizer, if it is not
/// one, or merges by itself where workers do not take each step together.
model::GradientModel& gradient_model(model::Model& model, std::string_view optimizer);

/// Merges values and totals in place; returns the number of contributions. Throws diverged, on all
/// workers alike, if the result is not finite.
std::size_t merge(comm::Communicator& communicator, std::span<float> values, model::Totals& totals,
                  comm::Meaning meaning, const Position& position);
/// The same for Communicator::merge_and_step().
std::size_t merge_and_step(comm::Communicator& communicator, std::span<float> values,
                           model::Totals& totals, comm::ChunkStep& step, const Position& position);
/// The same for Communicator::finish of states.
std::size_t finish_states(comm::Communicator& communicator, std::span<float> values,
                          model::Totals& totals, const Position& position);

/// Throws diverged.
[[noreturn]] void fail_diverged(const Position& position);

/// Penalties that several optimizers have.
Option l1_option();
Option l2_option();
/// The weight l2 of l2/2 · ‖w‖² beside the mean loss: the option's value, or for `auto` 1 / rows,
/// which is the penalty of scikit-learn's and LIBLINEAR's C = 1. `rows` are those of all workers.
double l2_weight(const Options& options, double rows);

/// The options with that weight for rows which have weights themselves, of that sum (0: they have
/// none): `auto` is 1 / sum, as it is for scikit-learn's sample_weight.
Options with_l2_for(Options options, double weights);

/// For Plugin::defaults of optimizers that go to the optimum: with test data, and unless a metric
/// of the held-out rows may end the job, no row is held out.
void add_share_of_validation(const Options& given, std::map<std::string, std::string>& defaults);

/// Totals as scalars of a state and back.
void append(std::vector<double>& scalars, const model::Totals& totals);
model::Totals take_totals(std::span<const double> scalars, std::size_t at);
/// Throws data_corrupt unless there are exactly `expected`.
void check_scalars(std::span<const double> scalars, std::size_t expected);

}  // namespace lambdaml::optim
