#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/optim/registry.h"
#include "lambdaml/optim/support.h"

namespace lambdaml::optim::em {
namespace {

/// Sums of up to this many numbers are merged as doubles: 64 KB, which a service transfers about as
/// fast as an empty message. More of them are rounded to floats, for messages of half the size.
constexpr std::size_t kMostDoubles = 8192;

/// Expectation maximization: the sums of a whole pass are merged once per epoch and give the new
/// parameters, so any number of workers computes what one does. Ends when the parameters move by no
/// more than `threshold`.
///
/// Several starts (`n_init`) are trained at once, in the same merges, each until it rests; the
/// model is the one with the smallest loss in its last epoch.
///
/// The sums over a worker's batches are doubles, because float sums over millions of rows drift
/// (for a constant feature of 0.2, by 4 % in 4.5 million rows).
class ExpectationMaximization final : public Optimizer {
 public:
  ExpectationMaximization(Problem problem, model::ExpectationModel& model, const Options& options)
      : problem_(std::move(problem)),
        model_(model),
        threshold_(options.real("threshold")),
        starts_(static_cast<std::size_t>(options.integer("n_init"))) {}

  std::size_t starts() const override { return starts_.size(); }
  std::uint64_t vector_bytes() const override {
    return state_bytes() + starts() * model_.sums_count() * sizeof(double);
  }
  std::uint64_t state_bytes() const override {
    return starts() * (model_.parameter_count() * sizeof(float) +
                       model_.sums_count() * (sizeof(float) + sizeof(double)));
  }

  void begin(std::span<const float> parameters) override {
    parameters_.assign(parameters.begin(), parameters.end());
    sums_.assign(starts() * model_.sums_count(), 0.0);
    rounded_.assign(sums_.size(), 0.0F);
    merged_ = sums_;
  }

  model::Totals step(const model::Batch& batch, const Position& position) override {
    const bool is_first = position.pass == 0 && position.round == 0;
    for (std::size_t i = 0; i < starts(); ++i) {
      Start& start = starts_[i];
      if (start.converged) continue;  // its sums stay, and so does its model
      if (is_first) {
        std::ranges::fill(sums_of(sums_, i), 0.0);
        start.own = {};
      }
      if (batch.rows() > 0)
        start.own += model_.accumulate(batch, parameters_of(i), sums_of(sums_, i));
    }
    if (!position.last_of_epoch) return {};
    merge_sums(position, [&](comm::Vectors v) {
      return problem_.communicator.merge(v, comm::Meaning::state);
    });
    for (std::size_t i = 0; i < starts(); ++i) {
      Start& start = starts_[i];
      if (start.converged) continue;
      start.moved = model_.maximize(sums_of(merged_, i), parameters_of(i));
      start.converged = start.moved <= threshold_;
    }
    return starts_[best()].all;
  }

  /// Workers that did not wait for each other have seen different sums: the final ones of all
  /// workers give the common model. If all waited, the same sums give the same model again. One
  /// merge.
  void finish() override {
    merge_sums({.epoch = problem_.epochs}, [&](comm::Vectors v) {
      return problem_.communicator.finish(v, comm::Meaning::state);
    });
    for (std::size_t i = 0; i < starts(); ++i)
      model_.maximize(sums_of(merged_, i), parameters_of(i));
  }

  std::span<const float> parameters() const override {
    const std::size_t count = model_.parameter_count();
    return std::span(parameters_).subspan(best() * count, count);
  }
  bool converged() const override { return std::ranges::all_of(starts_, &Start::converged); }
  std::map<std::string, double> metrics() const override {
    return {{"moved", starts_[best()].moved}};
  }

  /// The sums are stored among the scalars, as doubles; checkpoints of older versions have "sums"
  /// instead.
  State state() override {
    for (std::size_t i = 0; i < starts(); ++i)
      model_.round_sums(sums_of(sums_, i), sums_of(rounded_, i));
    return {{"parameters", parameters_}, {"sums", rounded_}};
  }
  /// A single start has no losses to compare, and the scalars that it always had.
  std::vector<double> scalars() const override {
    std::vector<double> out;
    for (const Start& start : starts_) {
      out.insert(out.end(), {start.moved, start.converged ? 1.0 : 0.0});
      append(out, start.own);
    }
    for (const Start& start : starts_)
      if (starts() > 1) append(out, start.all);
    out.insert(out.end(), sums_.begin(), sums_.end());
    return out;
  }
  void set_scalars(std::span<const double> scalars) override {
    const std::size_t without_sums = kScalars * starts() + (starts() > 1 ? 3 * starts() : 0);
    if (scalars.size() != without_sums) check_scalars(scalars, without_sums + sums_.size());
    for (std::size_t i = 0; i < starts(); ++i) {
      starts_[i] = {.moved = scalars[kScalars * i],
                    .converged = scalars[kScalars * i + 1] != 0,
                    .own = take_totals(scalars, kScalars * i + 2)};
      if (starts() > 1) starts_[i].all = take_totals(scalars, kScalars * starts() + 3 * i);
    }
    if (scalars.size() == without_sums)
      sums_.assign(rounded_.begin(), rounded_.end());
    else
      std::ranges::copy(scalars.subspan(without_sums), sums_.begin());
  }

 private:
  static constexpr std::size_t kScalars = 5;  ///< of a start, without sums and merged totals

  struct Start {
    double moved = 0;
    bool converged = false;
    model::Totals own = {};  ///< this worker's, of this epoch
    model::Totals all = {};  ///< of all workers, of its last epoch
  };

  std::span<float> parameters_of(std::size_t start) {
    const std::size_t count = model_.parameter_count();
    return std::span(parameters_).subspan(start * count, count);
  }
  template <class T>
  std::span<T> sums_of(std::vector<T>& sums, std::size_t start) const {
    return std::span(sums).subspan(start * model_.sums_count(), model_.sums_count());
  }

  /// Of equals, and before the first epoch, the first.
  std::size_t best() const {
    return static_cast<std::size_t>(
        std::ranges::min_element(starts_, {}, [](const Start& s) { return s.all.loss; }) -
        starts_.begin());
  }

  /// Merges the sums and the totals of all starts into merged_ and Start::all.
  template <class Merge>
  void merge_sums(const Position& position, const Merge& merge) {
    std::vector<double> numbers;
    for (const Start& start : starts_) append(numbers, start.own);
    const std::size_t totals = numbers.size();
    if (sums_.size() <= kMostDoubles) {
      numbers.insert(numbers.end(), sums_.begin(), sums_.end());
      merge(comm::Vectors{{}, numbers});
      std::ranges::copy(std::span(numbers).subspan(totals), merged_.begin());
    } else {
      for (std::size_t i = 0; i < starts(); ++i)
        model_.round_sums(sums_of(sums_, i), sums_of(rounded_, i));
      merge(comm::Vectors{rounded_, numbers});
      std::ranges::copy(rounded_, merged_.begin());
    }
    for (std::size_t i = 0; i < starts(); ++i) starts_[i].all = take_totals(numbers, 3 * i);
    // An infinity or NaN anywhere shows in the sum.
    if (!std::isfinite(std::accumulate(numbers.begin(), numbers.end(), 0.0)) ||
        !std::isfinite(std::accumulate(merged_.begin(), merged_.end(), 0.0)))
      fail_diverged(position);
  }

  Problem problem_;
  model::ExpectationModel& model_;
  double threshold_;
  std::vector<Start> starts_;
  std::vector<float> parameters_;  ///< of all starts, one after another; the same for the sums
  std::vector<double> sums_;       ///< this worker's, of this epoch
  std::vector<float> rounded_;
  std::vector<double> merged_;
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add(
      {.name = "em",
       .help = "expectation and maximization, for k-means",
       .options = {{.name = "threshold",
                    .default_value = 1e-4,
                    .help = "k-means ends when its centroids move by no more than this",
                    .minimum = 0},
                   {.name = "n_init",
                    .default_value = std::int64_t{1},
                    .help = "starts of k-means that are trained at once; the one with the smallest "
                            "inertia is the model",
                    .minimum = 1,
                    .maximum = 1000}},
       .metrics = {{.name = "moved", .help = "how far the parameters moved, √ Σ squared distance"}},
       .memory_option = "n_init",
       .merges_increments = false,
       .whole_passes = true,
       .converges = true,
       .make = [](Problem problem, const Options& options) -> std::unique_ptr<Optimizer> {
         auto* model = dynamic_cast<model::ExpectationModel*>(&problem.model);
         if (model == nullptr)
           fail(Code::invalid_argument,
                "the optimizer em trains k-means only; use grad_avg, model_avg or admm");
         return std::make_unique<ExpectationMaximization>(std::move(problem), *model, options);
       }});
}

}  // namespace lambdaml::optim::em
