#include <algorithm>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/optim/registry.h"
#include "lambdaml/optim/support.h"

namespace lambdaml::optim::em {
namespace {

/// Expectation maximization: the sums of a whole pass are merged once per epoch and give the new
/// parameters, so any number of workers computes what one does. Ends when the parameters move by no
/// more than `threshold`.
///
/// The sums over a worker's batches are doubles, rounded once to the floats that are sent: float
/// sums over millions of rows drift (for a constant feature of 0.2, by 4 % in 4.5 million rows).
class ExpectationMaximization final : public Optimizer {
 public:
  ExpectationMaximization(Problem problem, model::ExpectationModel& model, const Options& options)
      : problem_(std::move(problem)), model_(model), threshold_(options.real("threshold")) {}

  void begin(std::span<const float> parameters) override {
    parameters_.assign(parameters.begin(), parameters.end());
    sums_.assign(model_.sums_count(), 0.0);
    rounded_.assign(model_.sums_count(), 0.0F);
    merged_ = rounded_;
  }

  model::Totals step(const model::Batch& batch, const Position& position) override {
    if (position.pass == 0 && position.round == 0) {
      std::fill(sums_.begin(), sums_.end(), 0.0);
      totals_ = {};
    }
    if (batch.rows() > 0) totals_ += model_.accumulate(batch, parameters_, sums_);
    if (!position.last_of_epoch) return {};
    const model::Totals merged = merge_sums(position);
    moved_ = model_.maximize(merged_, parameters_);
    converged_ = moved_ <= threshold_;
    return merged;
  }

  /// Workers that did not wait for each other have seen different sums: the final ones of all
  /// workers give the common model. If all waited, the same sums give the same model again. One
  /// merge.
  void finish() override {
    model_.round_sums(sums_, merged_);
    model::Totals totals = totals_;
    finish_states(problem_.communicator, merged_, totals, {.epoch = problem_.epochs});
    model_.maximize(merged_, parameters_);
  }

  std::span<const float> parameters() const override { return parameters_; }
  bool converged() const override { return converged_; }
  std::map<std::string, double> metrics() const override { return {{"moved", moved_}}; }

  /// The sums are stored among the scalars, as doubles; checkpoints of older versions have "sums"
  /// instead.
  State state() override {
    model_.round_sums(sums_, rounded_);
    return {{"parameters", parameters_}, {"sums", rounded_}};
  }
  std::vector<double> scalars() const override {
    std::vector<double> out = {moved_, converged_ ? 1.0 : 0.0};
    append(out, totals_);
    out.insert(out.end(), sums_.begin(), sums_.end());
    return out;
  }
  void set_scalars(std::span<const double> scalars) override {
    if (scalars.size() != kScalars) check_scalars(scalars, kScalars + sums_.size());
    moved_ = scalars[0];
    converged_ = scalars[1] != 0;
    totals_ = take_totals(scalars, 2);
    if (scalars.size() == kScalars)
      sums_.assign(rounded_.begin(), rounded_.end());
    else
      std::copy(scalars.begin() + kScalars, scalars.end(), sums_.begin());
  }

 private:
  static constexpr std::size_t kScalars = 5;  ///< without the sums

  model::Totals merge_sums(const Position& position) {
    model_.round_sums(sums_, merged_);
    model::Totals totals = totals_;
    merge(problem_.communicator, merged_, totals, comm::Meaning::state, position);
    return totals;
  }

  Problem problem_;
  model::ExpectationModel& model_;
  double threshold_;
  std::vector<float> parameters_;
  std::vector<double> sums_;  ///< this worker's, of this epoch
  std::vector<float> rounded_;
  std::vector<float> merged_;
  model::Totals totals_;  ///< this worker's, of this epoch
  double moved_ = 0;
  bool converged_ = false;
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add(
      {.name = "em",
       .help = "expectation and maximization, for k-means",
       .options = {{.name = "threshold",
                    .default_value = 1e-4,
                    .help = "k-means ends when its centroids move by no more than this",
                    .minimum = 0}},
       .metrics = {{.name = "moved", .help = "how far the parameters moved, √ Σ squared distance"}},
       .merges_increments = false,
       .whole_passes = true,
       .make = [](Problem problem, const Options& options) -> std::unique_ptr<Optimizer> {
         auto* model = dynamic_cast<model::ExpectationModel*>(&problem.model);
         if (model == nullptr)
           fail(Code::invalid_argument,
                "the optimizer em trains k-means only; use grad_avg, model_avg or admm");
         return std::make_unique<ExpectationMaximization>(std::move(problem), *model, options);
       }});
}

}  // namespace lambdaml::optim::em
