#include <algorithm>
#include <array>
#include <cmath>

#include "lambdaml/optim/registry.h"
#include "lambdaml/optim/support.h"

/// signSGD (Bernstein et al. 2018, arXiv:1802.04434) with averaged signs: each worker steps by the
/// sign of its gradient, weighted by its rows, and the model moves by the sum.
namespace lambdaml::optim::sign_avg {
namespace {

class SignAveraging final : public Optimizer {
 public:
  SignAveraging(Problem problem, const Options& options)
      : problem_(std::move(problem)),
        model_(gradient_model(problem_.model, "sign_avg")),
        step_(options.real("sign_step")) {}

  std::uint64_t vector_bytes() const override { return 2 * state_bytes(); }
  std::uint64_t state_bytes() const override { return model_.parameter_count() * sizeof(float); }

  void begin(std::span<const float> parameters) override {
    parameters_.assign(parameters.begin(), parameters.end());
    update_.assign(parameters.size(), 0.0F);
  }

  model::Totals step(const model::Batch& batch, const Position& position) override {
    std::fill(update_.begin(), update_.end(), 0.0F);
    model::Totals totals = model_.accumulate(batch, parameters_, update_);
    const double share = totals.rows / problem_.rows_per_round.at(position.round);
    for (float& value : update_)
      value = value == 0 ? 0 : static_cast<float>(std::copysign(step_ * share, -value));
    merge(problem_.communicator, update_, totals, comm::Meaning::increment, position);
    apply();
    return totals;
  }

  void finish() override {
    std::fill(update_.begin(), update_.end(), 0.0F);
    std::array<double, 3> totals = {};  // as many as in the merges
    problem_.communicator.finish({update_, totals});
    apply();
  }

  std::span<const float> parameters() const override { return parameters_; }
  State state() override { return {{"parameters", parameters_}}; }

 private:
  void apply() {
    for (std::size_t i = 0; i < update_.size(); ++i) parameters_[i] += update_[i];
  }

  Problem problem_;
  model::GradientModel& model_;
  double step_;
  std::vector<float> parameters_;
  std::vector<float> update_;
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "sign_avg",
                .help = "steps by the signs of gradients",
                .options = {{.name = "sign_step",
                             .default_value = 0.01,
                             .help = "how far sign_avg moves each parameter in a round",
                             .above = 0}},
                .make = [](Problem problem, const Options& options) {
                  return std::make_unique<SignAveraging>(std::move(problem), options);
                }});
}

}  // namespace lambdaml::optim::sign_avg
