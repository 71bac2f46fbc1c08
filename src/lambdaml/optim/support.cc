#include "lambdaml/optim/support.h"

#include <array>
#include <cmath>
#include <functional>
#include <string_view>

#include "lambdaml/base/error.h"
#include "lambdaml/tensor/kernels.h"

namespace lambdaml::optim {

/// The optimizer whose workers compute each gradient at the same parameters, in the same round.
constexpr std::string_view kSharesEachStep = "grad_avg";

void Optimizer::set_scalars(std::span<const double> scalars) { check_scalars(scalars, 0); }

model::GradientModel& gradient_model(model::Model& model, std::string_view optimizer) {
  if (auto* gradients = dynamic_cast<model::GradientModel*>(&model)) {
    if (gradients->merges() && optimizer != kSharesEachStep)
      fail(Code::invalid_argument,
           "sync_batch_norm: workers have a common batch in each step of --optim {}, but not with "
           "{}",
           kSharesEachStep, optimizer);
    return *gradients;
  }
  fail(Code::invalid_argument,
       "the optimizer {} needs a model with a gradient, which this one has not; k-means is trained "
       "by --optim em",
       optimizer);
}

namespace {

/// The common part of merge and finish; `how` computes the sum.
std::size_t with_totals(std::span<float> values, model::Totals& totals, const Position& position,
                        const std::function<std::size_t(comm::Vectors)>& how) {
  std::array<double, 3> numbers = {totals.loss, totals.rows, totals.correct};
  const std::size_t merged = how({values, numbers});
  totals = {numbers[0], numbers[1], numbers[2]};
  // Tests one sum over the vector instead of each float: an infinity or NaN anywhere shows in it.
  if (!std::isfinite(totals.loss) ||
      !std::isfinite(tensor::dot(values.size(), values.data(), values.data())))
    fail_diverged(position);
  return merged;
}

}  // namespace

void fail_diverged(const Position& position) {
  fail(Code::diverged,
       "training diverged in epoch {}, round {}: the loss is not finite; scale the features, or "
       "use a smaller --lr if the optimizer has one",
       position.epoch + 1, position.round + 1);
}

void Optimizer::prepare(const model::Batch&, comm::Communicator&) {}
void Optimizer::set_penalty_factors(std::vector<float>) {
  fail(Code::invalid_argument,
       "this optimizer penalizes all weights alike and no bias: use lbfgs, or leave out "
       "intercept_scaling and penalize");
}

Option l1_option() {
  return {.name = "lambda",
          .default_value = 0.0,
          .help =
              "penalty lambda · ‖w‖₁ on the mean loss, without the biases; for admm its weight "
              "is lambda / workers",
          .minimum = 0,
          .aliases = {"l1"}};
}

Option l2_option() {
  return {.name = "l2",
          .default_value = 0.0,
          .help =
              "penalty l2/2 · ‖w‖² on the mean loss, without the biases; auto is 1 / training "
              "rows, the default of lbfgs and admm",
          .minimum = 0,
          .words = {"auto"},
          .aliases = {"weight_decay"}};
}

void add_share_of_validation(const Options& given, std::map<std::string, std::string>& defaults) {
  const bool is_needed = given.integer("patience") > 0 || given.integer("folds") > 0 ||
                         given.text("until").starts_with("valid_");
  if (!given.text("test_data").empty() && !is_needed)
    defaults.insert_or_assign("valid_ratio", std::string("0"));
}

double l2_weight(const Options& options, double rows) {
  if (const std::optional<double> given = options.real_unless_word("l2")) return *given;
  return rows > 0 ? 1 / rows : 0;
}

Options with_l2_for(Options options, double weights) {
  if (weights > 0 && !options.real_unless_word("l2"))
    options.set("l2", Option::Value(1 / weights), "l2");
  return options;
}

std::size_t merge(comm::Communicator& communicator, std::span<float> values, model::Totals& totals,
                  comm::Meaning meaning, const Position& position) {
  return with_totals(values, totals, position,
                     [&](comm::Vectors v) { return communicator.merge(v, meaning); });
}

std::size_t merge_and_step(comm::Communicator& communicator, std::span<float> values,
                           model::Totals& totals, comm::ChunkStep& step, const Position& position) {
  return with_totals(values, totals, position,
                     [&](comm::Vectors v) { return communicator.merge_and_step(v, step); });
}

std::size_t finish_states(comm::Communicator& communicator, std::span<float> values,
                          model::Totals& totals, const Position& position) {
  return with_totals(values, totals, position,
                     [&](comm::Vectors v) { return communicator.finish(v, comm::Meaning::state); });
}

void append(std::vector<double>& scalars, const model::Totals& totals) {
  scalars.insert(scalars.end(), {totals.loss, totals.rows, totals.correct});
}

model::Totals take_totals(std::span<const double> scalars, std::size_t at) {
  return {scalars[at], scalars[at + 1], scalars[at + 2]};
}

void check_scalars(std::span<const double> scalars, std::size_t expected) {
  if (scalars.size() != expected)
    fail(Code::data_corrupt,
         "an optimizer's state has {} numbers where {} belong: it is of another "
         "optimizer or version",
         scalars.size(), expected);
}

}  // namespace lambdaml::optim
