#include "lambdaml/plan/goal_pilots.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/held_warnings.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/rng.h"
#include "lambdaml/data/source.h"
#include "lambdaml/job/stop_condition.h"
#include "lambdaml/optim/registry.h"

namespace lambdaml::plan {
namespace {

constexpr std::uint64_t kLeastSample = 64;
/// Between the sizes of pilots.
constexpr double kSizeStep = 4;
/// Workers of a pilot; estimates for more go on as those do.
constexpr double kMostPilotWorkers = 256;
/// A sample is passed over at most so many times as often as all rows, for a worker that sees the
/// same few rows for ever learns them by heart.
constexpr double kMostRepeated = 20;
constexpr std::int64_t kNoCheckpoints = 1'000'000'000;

double processor_s() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

/// Steps of a worker for that many rows.
double steps_for(double rows, double batch) { return std::max(1.0, std::ceil(rows / batch)); }

/// Rows drawn without repetition, in their order.
std::shared_ptr<const data::Dataset> drawn(const data::Dataset& all, std::uint64_t rows,
                                           std::uint64_t seed) {
  if (rows >= all.rows()) return std::make_shared<const data::Dataset>(all);
  std::vector<std::uint32_t> order(all.rows());
  std::iota(order.begin(), order.end(), 0U);
  Rng rng(seed);
  for (std::size_t i = 0; i < rows; ++i)
    std::swap(order[i], order[i + rng.below(order.size() - i)]);
  order.resize(rows);
  std::ranges::sort(order);
  return std::make_shared<const data::Dataset>(data::take_rows(all, order));
}

}  // namespace

std::optional<double> Curve::at(double rows, bool extrapolates) const {
  auto after = points_.lower_bound(rows);
  if (after != points_.end() && after->first == rows) return after->second;
  if (after == points_.end()) return std::prev(after)->second;
  if (after == points_.begin()) {
    if (!extrapolates || points_.size() < 2) return after->second;
    ++after;
  }
  const auto before = std::prev(after);
  if (!before->second || !after->second) return {};
  const double share = std::log(rows / before->first) / std::log(after->first / before->first);
  return std::exp(std::lerp(std::log(*before->second), std::log(*after->second), share));
}

double EpochsToGoal::epochs_of(const Curve& curve, double workers, bool& is_reached) const {
  double rows = 1, factor = 1;
  const double own_rows = std::max(1.0, rows_ / workers);
  if (merges_each_batch_) {
    rows = std::min(workers * batch_, rows_);
    factor = 1 / steps_for(rows_, rows);
  } else if (depends_on_workers_) {
    rows = own_rows;
    // More rows than the sample has are more steps in an epoch.
    if (counts_steps_) factor = std::min(1.0, curve.most_rows() / own_rows);
  }
  const std::optional<double> count = curve.at(rows, !merges_each_batch_);
  is_reached = is_reached && count.has_value();
  constexpr double kRounding = 1e-6;
  return std::max(1.0, std::ceil(count.value_or(1) * factor - kRounding));
}

std::optional<Epochs> EpochsToGoal::of(double workers) const {
  std::vector<double> epochs;
  bool is_reached = !repeats_.empty();
  for (const Curve& curve : repeats_) epochs.push_back(epochs_of(curve, workers, is_reached));
  if (!is_reached) return {};
  return Epochs{std::ranges::min(epochs), quantile(epochs, 0.5), std::ranges::max(epochs)};
}

/// The pilots of all ways.
class GoalPilots {
 public:
  GoalPilots(const Options& job, const std::vector<Way>& ways, const SimulatedWorld& world,
             const data::Dataset& sample, double all_rows, const PilotSettings& settings)
      : job_(job),
        ways_(ways),
        world_(world),
        all_(sample),
        settings_(settings),
        goal_(job::StopCondition::parse(job.text("until"))),
        rises_(job.text("until").find('>') != std::string::npos) {
    report_.rows = std::min<std::uint64_t>(settings.rows, sample.rows());
    report_.all_rows = all_rows;
    report_.ways.resize(ways.size());
    report_.errors.resize(ways.size());
    trained_.resize(ways.size());
    world_.seconds_per_row = 0;
    if (report_.rows < kLeastSample)
      fail(Code::invalid_argument,
           "plan: {} rows are too few for a pilot, which needs {}: say how many epochs each way to "
           "train takes: --way batch_size=100,epochs=8",
           report_.rows, kLeastSample);
  }

  PilotReport run() {
    const Stopwatch clock;
    for (std::size_t way = 0; way < ways_.size(); ++way) prepare(way);
    while (report_.repeats < settings_.repeats && repeat()) ++report_.repeats;
    report_.is_cut = report_.repeats < settings_.repeats;
    report_.seconds = clock.seconds();
    require_reached();
    return std::move(report_);
  }

 private:
  /// One training of the sample, and what it stands for.
  struct Pilot {
    double rows = 1;  ///< the point of the curve
    std::int64_t workers = 1, batch = 0;
    bool is_hopeless = false;
  };
  /// A way, as it is trained.
  struct Trained {
    Options job;  ///< not resolved
    std::string name, epochs_option;
    std::int64_t most_epochs = 1;
    double steps_rows = 0;  ///< of the sample, if the curve counts steps; 0: epochs
    std::vector<Pilot> pilots;
  };

  void prepare(std::size_t number) {
    const Way& way = ways_[number];
    if (way.is_known) return;
    try {
      const log::QuietLog quiet;
      Trained& trained = trained_[number];
      trained.job = way.applied_to(job_);
      const Options resolved = in_world(trained.job, world_);
      const optim::Plugin& plugin = optim::registry().get(resolved.text("optim"));
      trained.job.set("optim", Option::Value(plugin.name), "optim");
      trained.name = way.text();
      trained.epochs_option = plugin.epochs_option;
      trained.most_epochs = resolved.integer(plugin.epochs_option);
      const std::int64_t folds = resolved.integer("folds");
      const double share =
          folds > 0 ? 1 - 1 / static_cast<double>(folds) : 1 - resolved.real("valid_ratio");
      EpochsToGoal out;
      out.batch_ = static_cast<double>(resolved.integer("batch_size"));
      out.rows_ = std::max(1.0, report_.all_rows * share);
      out.merges_each_batch_ = plugin.pace == optim::Pace::steps;
      out.counts_steps_ = plugin.pace != optim::Pace::epochs;
      out.depends_on_workers_ = !plugin.whole_passes && !out.merges_each_batch_;
      const double rows = std::max(1.0, std::floor(static_cast<double>(report_.rows) * share));
      if (out.counts_steps_)
        trained.most_epochs =
            static_cast<std::int64_t>(static_cast<double>(trained.most_epochs) *
                                      std::clamp(std::floor(out.rows_ / rows), 1.0, kMostRepeated));
      if (out.merges_each_batch_) trained.steps_rows = rows;
      trained.pilots = pilots_of(out, rows);
      report_.ways[number] = std::move(out);
    } catch (const Error& error) {
      leave_out(number, error);
    }
  }

  std::vector<Pilot> pilots_of(const EpochsToGoal& way, double rows) const {
    const auto most = static_cast<double>(settings_.most_workers);
    std::vector<Pilot> out;
    if (way.merges_each_batch_) {
      for (double batch = way.batch_; batch < rows; batch *= kSizeStep) {
        out.push_back({.rows = batch, .batch = static_cast<std::int64_t>(batch)});
        if (batch >= most * way.batch_) return out;
      }
      out.push_back({.rows = rows, .batch = static_cast<std::int64_t>(rows)});
    } else if (way.depends_on_workers_) {
      // As many stand for more workers as there are more rows.
      const double more = std::max(1.0, way.rows_ / rows);
      for (double workers = 1; workers <= std::min(kMostPilotWorkers, rows / 2);
           workers *= kSizeStep) {
        out.push_back({.rows = rows / workers, .workers = static_cast<std::int64_t>(workers)});
        if (workers * more >= most) break;
      }
    } else {
      out.push_back({});
    }
    return out;
  }

  /// Returns whether all pilots could be run. Without time, the first repetition stays as it is.
  bool repeat() {
    const auto seed = static_cast<std::uint64_t>(job_.integer("seed")) +
                      static_cast<std::uint64_t>(report_.repeats);
    world_.rows = drawn(all_, report_.rows, seed);
    known_.clear();
    std::vector<Curve> curves(ways_.size());
    const bool is_whole = run_all(seed, curves);
    if (!is_whole && report_.repeats > 0) return false;
    for (std::size_t way = 0; way < ways_.size(); ++way)
      if (report_.ways[way] && !curves[way].empty())
        report_.ways[way]->repeats_.push_back(std::move(curves[way]));
    return is_whole;
  }

  bool run_all(std::uint64_t seed, std::vector<Curve>& curves) {
    for (std::size_t way = 0; way < ways_.size(); ++way) {
      if (!report_.ways[way]) continue;
      Curve curve;
      for (Pilot& pilot : trained_[way].pilots) {
        if (processor_s() - begin_s_ > settings_.seconds) return false;
        try {
          const std::optional<double> count = count_of(way, pilot, seed);
          pilot.is_hopeless = !count;
          curve.add(pilot.rows, count);
        } catch (const Error& error) {
          if (error.code() == Code::cancelled) return false;
          leave_out(way, error);
          break;
        }
      }
      if (report_.ways[way]) curves[way] = std::move(curve);
    }
    return true;
  }

  /// Steps or epochs until the goal; nullopt if it was not reached. Ways that differ in their
  /// batches only share pilots, if these are for rows of steps.
  std::optional<double> count_of(std::size_t way, const Pilot& pilot, std::uint64_t seed) {
    if (pilot.is_hopeless) return {};
    const Trained& trained = trained_[way];
    std::map<std::string, std::string> key = ways_[way].options;
    if (pilot.batch > 0) key["batch_size"] = std::to_string(pilot.batch);
    key["workers"] = std::to_string(pilot.workers);
    if (const auto known = known_.find(key); known != known_.end()) return known->second;
    std::optional<double> count = epochs_of(trained, pilot, seed);
    if (count && trained.steps_rows > 0)
      *count *= steps_for(trained.steps_rows, static_cast<double>(pilot.batch));
    return known_[key] = count;
  }

  std::optional<double> epochs_of(const Trained& trained, const Pilot& pilot, std::uint64_t seed) {
    Options job = trained.job;
    const auto set = [&](const std::string& name, std::int64_t value) {
      job.set(name, Option::Value(value), name);
    };
    set("workers", pilot.workers);
    set("seed", static_cast<std::int64_t>(seed));
    set(trained.epochs_option, trained.most_epochs);
    if (pilot.batch > 0) set("batch_size", pilot.batch);
    set("retries", 0);
    set("stop_after", 0);
    set("run_epochs", 0);
    set("checkpoint_every", kNoCheckpoints);
    world_.longest_s = std::max(1e-3, settings_.seconds - (processor_s() - begin_s_));
    const log::QuietLog quiet;
    try {
      const SimulatedRun run = simulate(in_world(std::move(job), world_), world_, 1);
      ++report_.pilots;
      if (run.ended_by == "until") return static_cast<double>(run.epochs);
      note_miss(run, trained.name);
    } catch (const Error& error) {
      if (interrupted() || error.code() != Code::diverged) throw;
      ++report_.pilots;
    }
    return {};
  }

  void note_miss(const SimulatedRun& run, const std::string& name) {
    const auto reached = run.metrics.find(goal_.metric());
    if (reached == run.metrics.end()) return;
    const double value = reached->second;
    if (nearest_ && (rises_ ? value <= *nearest_ : value >= *nearest_)) return;
    nearest_ = value;
    report_.best =
        fmt::format("{} {:.4g} after {} epochs by {}", goal_.metric(), value, run.epochs, name);
  }

  /// Of ways that nobody named, what is wrong with them is no error.
  void leave_out(std::size_t way, const Error& error) {
    if (!ways_[way].is_offered || interrupted()) throw;
    report_.ways[way].reset();
    report_.errors[way] = error.what();
  }

  void require_reached() const {
    bool is_any = false;
    for (std::size_t way = 0; way < ways_.size(); ++way) {
      if (ways_[way].is_known) return;
      const std::optional<EpochsToGoal>& found = report_.ways[way];
      for (double workers = 1; found && workers <= static_cast<double>(settings_.most_workers);
           workers *= 2)
        is_any = is_any || found->of(workers).has_value();
    }
    if (is_any) return;
    constexpr const char* kWayOut =
        "or say how many epochs each way to train takes: --way batch_size=100,epochs=8";
    if (report_.repeats == 0 && report_.best.empty())
      fail(
          Code::invalid_argument,
          "plan: no pilot reached {} within {} s: give more --pilot-seconds or fewer --pilot-rows, "
          "{}",
          job_.text("until"), settings_.seconds, kWayOut);
    fail(Code::invalid_argument,
         "plan: no way to train reached {} with {} rows of the data{}: choose another goal or more "
         "--epochs{}, {}",
         job_.text("until"), report_.rows,
         report_.best.empty() ? "" : "; the nearest was " + report_.best,
         static_cast<double>(report_.rows) < report_.all_rows ? " or --pilot-rows" : "", kWayOut);
  }

  const Options& job_;
  const std::vector<Way>& ways_;
  SimulatedWorld world_;
  const data::Dataset& all_;
  const PilotSettings& settings_;
  const job::StopCondition goal_;
  const bool rises_;  ///< the goal's metric has to become larger
  const double begin_s_ = processor_s();
  PilotReport report_;
  std::vector<Trained> trained_;
  std::map<std::map<std::string, std::string>, std::optional<double>> known_;  ///< of a repetition
  std::optional<double> nearest_;
};

PilotReport run_goal_pilots(const Options& job, const std::vector<Way>& ways,
                            const SimulatedWorld& world, const data::Dataset& sample,
                            double all_rows, const PilotSettings& settings) {
  return GoalPilots(job, ways, world, sample, all_rows, settings).run();
}

}  // namespace lambdaml::plan
