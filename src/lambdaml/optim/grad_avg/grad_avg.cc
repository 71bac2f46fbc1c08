#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/option_sets.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/optim/descent.h"
#include "lambdaml/optim/moving_average.h"
#include "lambdaml/optim/registry.h"
#include "lambdaml/optim/support.h"

namespace lambdaml::optim::grad_avg {
namespace {

/// Mini-batch gradient descent over all workers: for each batch, every worker contributes its share
/// of the step (see Descent, which includes L2 and momentum), and the model moves by their sum. If
/// all wait, P workers with batches of B compute what one computes with P · B. Without waiting, the
/// final model is still the initial one plus every share exactly once, the same on all workers up
/// to rounding.
///
/// With shard_optimizer, aggregators share out the step as they do the merge (Rajbhandari et al.
/// 2020, "ZeRO: memory optimizations toward training trillion parameter models", stage 1): the
/// moments of n parameters take n / K floats each, and workers receive new parameters in place of
/// summed gradients. The bits are the same.
class GradientAveraging final : public Optimizer {
 public:
  GradientAveraging(Problem problem, const Options& options)
      : problem_(std::move(problem)),
        descent_(gradient_model(problem_.model, "grad_avg"), options,
                 LearningRate(options, static_cast<double>(problem_.epochs), 1,
                              problem_.rows_per_round.size()),
                 problem_.rows, Descent::moments_of(options, problem_.bulk_synchronous)),
        average_(options, problem_.bulk_synchronous),
        shards_(shards(options)) {
    join(gradient_model(problem_.model, "grad_avg"));
  }

  void prepare(const model::Batch& rows, comm::Communicator& communicator) override {
    descent_.choose_rate(rows, problem_.rows_per_round.front(), communicator);
  }

  std::uint64_t vector_bytes() const override {
    const std::size_t all = problem_.model.parameter_count();
    return state_bytes() + all * sizeof(float) + descent_.scratch_bytes(all);
  }
  std::uint64_t state_bytes() const override {
    const std::size_t all = problem_.model.parameter_count();
    std::size_t stepped = all;
    if (shards_) {
      stepped = 0;
      for (const auto& [begin, end] : problem_.communicator.owned(all)) stepped += end - begin;
    }
    return all * sizeof(float) + descent_.moment_bytes(stepped) + average_.bytes(all);
  }

  void begin(std::span<const float> parameters) override {
    parameters_.assign(parameters.begin(), parameters.end());
    update_.assign(parameters.size(), 0.0F);
    descent_.begin(shards_ ? problem_.communicator.owned(parameters.size())
                           : std::vector<comm::Range>{{0, parameters.size()}});
    average_.begin(parameters_);
  }

  model::Totals step(const model::Batch& batch, const Position& position) override {
    model::Totals totals = descent_.share(batch, position, parameters_,
                                          problem_.rows_per_round.at(position.round), update_);
    if (shards_) {
      descent_.merge_and_step(problem_.communicator, position, parameters_, update_, totals);
      parameters_.swap(update_);
    } else {
      merge(problem_.communicator, update_, totals, comm::Meaning::increment, position);
      descent_.apply(update_, position, parameters_);
    }
    average_.add(parameters_);
    return totals;
  }

  void finish() override {
    std::fill(update_.begin(), update_.end(), 0.0F);
    std::array<double, 3> totals = {};  // as many as in the merges
    if (problem_.communicator.finish({update_, totals}) > 0)
      descent_.apply(update_, {.epoch = problem_.epochs}, parameters_);
  }

  std::span<const float> parameters() const override { return average_.or_else(parameters_); }

  State state() override {
    State state = {{"parameters", parameters_}};
    descent_.add_to(state);
    average_.add_to(state);
    return state;
  }
  Cut cut() const override { return descent_.cut(); }
  std::vector<double> scalars() const override {
    std::vector<double> out = descent_.scalars();
    average_.append_scalars(out);
    return out;
  }
  void set_scalars(std::span<const double> scalars) override {
    check_scalars(average_.take_scalars(descent_.take_scalars(scalars)), 0);
  }

 private:
  void join(model::GradientModel& model) {
    if (!model.merges()) return;
    if (!problem_.bulk_synchronous)
      fail(Code::invalid_argument,
           "sync_batch_norm: workers that do not wait for each other have no common batch; use a "
           "sync mode that waits");
    model.join(problem_.communicator);
  }

  /// Whether aggregators share out the moments, if there are any.
  bool shards(const Options& options) const {
    if (!options.flag("shard_optimizer") || !descent_.has_moments()) return false;
    if (Descent::moments_of(options, problem_.bulk_synchronous) != Descent::Moments::merged)
      fail(Code::invalid_argument,
           "shard_optimizer: workers have moments of their own gradients, which nobody shares; use "
           "--moments merged and a sync mode that waits");
    if (!problem_.communicator.can_step())
      fail(Code::invalid_argument,
           "shard_optimizer: this channel adds up itself, so no worker is an aggregator; use "
           "another channel");
    return true;
  }

  Problem problem_;
  Descent descent_;
  MovingAverage average_;
  bool shards_;
  std::vector<float> parameters_;
  std::vector<float> update_;
};

std::vector<Option> options() {
  std::vector<Option> all = averaging_options();
  add_options(all,
              {{.name = "shard_optimizer",
                .default_value = false,
                .help = "each aggregator steps its part of the model and alone has the moments "
                        "of that part, so that they take less memory; changes no number",
                .execution_only = true}});
  return all;
}

/// Where workers wait, new jobs apply momentum to the merged gradient: the same steps but for
/// rounding, which may then be shared out among aggregators. Compressed gradients need the momentum
/// of what they leave out (Lin et al. 2018, "Deep gradient compression").
std::map<std::string, std::string> defaults(const Options& given) {
  std::map<std::string, std::string> values = descent_defaults(given);
  const comm::Plugin* pattern = comm::registry().find(given.text("sync_mode"));
  const bool has_momentum = is_changed(given, "momentum") || values.contains("momentum");
  if (has_momentum && pattern != nullptr && pattern->bulk_synchronous &&
      !is_changed(given, "compress"))
    values["moments"] = "merged";
  return values;
}

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "grad_avg",
                .help = "gradient descent; the gradients of each batch are merged",
                .options = options(),
                .defaults = defaults,
                .pace = Pace::steps,
                .make = [](Problem problem, const Options& options) {
                  return std::make_unique<GradientAveraging>(std::move(problem), options);
                }});
}

}  // namespace lambdaml::optim::grad_avg
