#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "lambdaml/optim/descent.h"
#include "lambdaml/optim/moving_average.h"
#include "lambdaml/optim/registry.h"
#include "lambdaml/optim/support.h"
#include "lambdaml/tensor/kernels.h"

namespace lambdaml::optim::model_avg {
namespace {

/// Local gradient descent, merged once per epoch: worker i moves from the common model w₀ along its
/// own batches to w_i, and then w ← w₀ + Σ_i n_i/N (w_i − w₀), where n_i of the N rows are worker
/// i's. If all wait, that is the average of the models weighted by rows (Stich 2019, "Local SGD
/// converges fast and communicates little"; McMahan et al. 2017). As a sum of updates it loses none
/// if workers do not wait. Velocity and moments stay each worker's own, or with `moments` merged
/// are averaged in the same way, by one more merge (Yu, Jin, Yang 2019: "On the linear speedup
/// analysis of communication efficient momentum SGD").
class ModelAveraging final : public Optimizer {
 public:
  ModelAveraging(Problem problem, const Options& options)
      : problem_(std::move(problem)),
        descent_(gradient_model(problem_.model, "model_avg"), options,
                 LearningRate(options, static_cast<double>(problem_.epochs), 1,
                              problem_.rows_per_round.size()),
                 problem_.rows, kind_of_steps(options)),
        average_(options, problem_.bulk_synchronous),
        merges_moments_(merges_moments(options, problem_.bulk_synchronous)) {}

  void prepare(const model::Batch& rows, comm::Communicator& communicator) override {
    const auto workers = static_cast<double>(problem_.communicator.workers());
    descent_.choose_rate(rows, problem_.rows_per_round.front() / workers, communicator);
  }

  std::uint64_t vector_bytes() const override {
    const std::size_t all = problem_.model.parameter_count();
    return state_bytes() + all * sizeof(float) + descent_.scratch_bytes(all) +
           (merges_moments_ ? descent_.moment_bytes(all) : 0);
  }
  std::uint64_t state_bytes() const override {
    const std::size_t all = problem_.model.parameter_count();
    return 2 * all * sizeof(float) + descent_.moment_bytes(all) + average_.bytes(all);
  }

  void begin(std::span<const float> parameters) override {
    parameters_.assign(parameters.begin(), parameters.end());
    local_ = parameters_;
    update_.assign(parameters.size(), 0.0F);
    descent_.begin({{0, parameters.size()}});
    average_.begin(parameters_);
  }

  model::Totals step(const model::Batch& batch, const Position& position) override {
    if (batch.rows() > 0) {
      totals_ +=
          descent_.share(batch, position, local_, static_cast<double>(batch.rows()), update_);
      descent_.apply(update_, position, local_);
    }
    if (!position.last_of_epoch) return {};
    const auto weight = static_cast<float>(problem_.own_rows / problem_.rows);
    for (std::size_t i = 0; i < update_.size(); ++i)
      update_[i] = weight * (local_[i] - parameters_[i]);
    merge(problem_.communicator, update_, totals_, comm::Meaning::increment, position);
    apply();
    if (merges_moments_ && !descent_.moments().empty()) merge_moments(weight);
    average_.add(parameters_);
    local_ = parameters_;
    return std::exchange(totals_, {});
  }

  void finish() override {
    std::fill(update_.begin(), update_.end(), 0.0F);
    std::array<double, 3> totals = {};  // as many as in the merges
    problem_.communicator.finish({update_, totals});
    apply();
  }

  std::span<const float> parameters() const override { return average_.or_else(parameters_); }

  State state() override {
    State state = {{"parameters", parameters_}, {"local", local_}};
    descent_.add_to(state);
    average_.add_to(state);
    return state;
  }
  std::vector<double> scalars() const override {
    std::vector<double> out = descent_.scalars();
    append(out, totals_);
    average_.append_scalars(out);
    return out;
  }
  void set_scalars(std::span<const double> scalars) override {
    const std::span<const double> rest = descent_.take_scalars(scalars);
    if (rest.size() < 3) check_scalars(rest, 3);
    totals_ = take_totals(rest, 0);
    check_scalars(average_.take_scalars(rest.subspan(3)), 0);
  }

 private:
  /// A worker takes its steps by itself. Those of sgd are computed as they always were.
  static Descent::Moments kind_of_steps(const Options& options) {
    return options.text("optimizer") == "sgd" ? Descent::Moments::own : Descent::Moments::merged;
  }
  static bool merges_moments(const Options& options, bool waits) {
    return options.text("moments") == "merged" &&
           Descent::moments_of(options, waits) == Descent::Moments::merged;
  }

  /// Averages the moments, and the counts of steps, as the models were.
  void merge_moments(float weight) {
    std::vector<float> all;
    all.reserve(descent_.moment_bytes(parameters_.size()) / sizeof(float));
    for (const std::span<float> moment : descent_.moments())
      for (const float value : moment) all.push_back(weight * value);
    double steps = static_cast<double>(weight) * descent_.steps();
    problem_.communicator.merge({all, {&steps, 1}}, comm::Meaning::state);
    auto from = all.begin();
    for (const std::span<float> moment : descent_.moments()) {
      std::copy_n(from, moment.size(), moment.begin());
      from += static_cast<std::ptrdiff_t>(moment.size());
    }
    descent_.set_steps(steps);
  }

  void apply() { tensor::axpy(update_.size(), 1.0F, update_.data(), parameters_.data()); }

  Problem problem_;
  Descent descent_;
  MovingAverage average_;
  bool merges_moments_;
  std::vector<float> parameters_;
  std::vector<float> local_;
  std::vector<float> update_;
  model::Totals totals_;  ///< of this epoch, not merged yet
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "model_avg",
                .help = "local gradient descent; the models of each epoch are averaged",
                .options = averaging_options(),
                .defaults = descent_defaults,
                .pace = Pace::own_steps,
                .make = [](Problem problem, const Options& options) {
                  return std::make_unique<ModelAveraging>(std::move(problem), options);
                }});
}

}  // namespace lambdaml::optim::model_avg
