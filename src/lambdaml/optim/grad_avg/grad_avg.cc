#include <algorithm>
#include <array>
#include <vector>

#include "lambdaml/optim/descent.h"
#include "lambdaml/optim/registry.h"
#include "lambdaml/optim/support.h"

namespace lambdaml::optim::grad_avg {
namespace {

/// Mini-batch gradient descent over all workers: for each batch, every worker contributes its share
/// of the step (see Descent, which includes L2 and momentum), and the model moves by their sum. If
/// all wait, P workers with batches of B compute what one computes with P · B. Without waiting, the
/// final model is still the initial one plus every share exactly once, the same on all workers up
/// to rounding.
class GradientAveraging final : public Optimizer {
 public:
  GradientAveraging(Problem problem, const Options& options)
      : problem_(std::move(problem)),
        descent_(gradient_model(problem_.model, "grad_avg"), options,
                 LearningRate(options, static_cast<double>(problem_.epochs), 1,
                              problem_.rows_per_round.size()),
                 problem_.rows, problem_.bulk_synchronous) {}

  void prepare(const model::Batch& rows, comm::Communicator& communicator) override {
    descent_.choose_rate(rows, problem_.rows_per_round.front(), communicator);
  }

  void begin(std::span<const float> parameters) override {
    parameters_.assign(parameters.begin(), parameters.end());
    update_.assign(parameters.size(), 0.0F);
  }

  model::Totals step(const model::Batch& batch, const Position& position) override {
    model::Totals totals = descent_.share(batch, position, parameters_,
                                          problem_.rows_per_round.at(position.round), update_);
    merge(problem_.communicator, update_, totals, comm::Meaning::increment, position);
    descent_.apply(update_, position, parameters_);
    return totals;
  }

  void finish() override {
    std::fill(update_.begin(), update_.end(), 0.0F);
    std::array<double, 3> totals = {};  // as many as in the merges
    if (problem_.communicator.finish({update_, totals}) > 0)
      descent_.apply(update_, {.epoch = problem_.epochs}, parameters_);
  }

  std::span<const float> parameters() const override { return parameters_; }

  State state() override {
    State state = {{"parameters", parameters_}};
    descent_.add_to(state);
    return state;
  }
  std::vector<double> scalars() const override { return descent_.scalars(); }
  void set_scalars(std::span<const double> scalars) override {
    check_scalars(descent_.take_scalars(scalars), 0);
  }

 private:
  Problem problem_;
  Descent descent_;
  std::vector<float> parameters_;
  std::vector<float> update_;
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "grad_avg",
                .help = "gradient descent; the gradients of each batch are merged",
                .options = descent_options(),
                .defaults = descent_defaults,
                .make = [](Problem problem, const Options& options) {
                  return std::make_unique<GradientAveraging>(std::move(problem), options);
                }});
}

}  // namespace lambdaml::optim::grad_avg
