#include "lambdaml/tune/tuner.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"
#include "lambdaml/control/endings.h"
#include "lambdaml/control/job_channel.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/job/job.h"
#include "lambdaml/tune/history.h"
#include "lambdaml/tune/jobs_of_segment.h"
#include "lambdaml/tune/left_jobs.h"
#include "lambdaml/tune/orders.h"
#include "lambdaml/tune/report.h"
#include "lambdaml/tune/search_clock.h"
#include "lambdaml/tune/search_data.h"
#include "lambdaml/tune/segment_job.h"
#include "lambdaml/tune/strategy.h"

// A tuner asks the strategy which segment is next, runs its job and records its end, until the
// search is over. What it needs for that:
//
//   orders          whether the search is this tuner's
//   search_clock    how long the search has taken
//   search_data     the data, cut for a trial's workers
//   segment_job     the job of one segment, on its own thread
//   history         the segments so far, and how each ended
//   left_jobs       what an earlier tuner's jobs have left
//   progress        what is told while it works

namespace lambdaml::tune {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;
using Summary = std::shared_ptr<const ordered_json>;

constexpr double kTick_s = 0.1;

/// A trial's options, ready to run. Throws invalid_argument for incompatible values.
Options resolved_options_of(const Search& search, const Assignments& assignments) {
  Options options = options_of(search, assignments);
  job::resolve(options);
  return options;
}

class Tuner {
 public:
  Tuner(Records& records, fs::path runs, std::string chain, const TunerLimits& limits,
        Observer& observer)
      : records_(records),
        runs_(std::move(runs)),
        limits_(limits),
        search_(records.search().value()),
        strategy_(make_strategy(search_)),
        claim_(records, std::move(chain)),
        data_(search_, records),
        history_(search_, *strategy_, records),
        left_jobs_(search_, records, runs_),
        progress_(search_, *strategy_, observer),
        clock_(records) {
    const faas::Plugin& platform = faas::registry().get(search_.job.text("platform"));
    // An invoker keeps its functions warm: each trial reuses those of earlier ones.
    if (!platform.remote) warm_ = platform.make(faas::own_options(platform, search_.job));
  }

  SearchResult run() {
    try {
      claim_.take(limits_.own_time);
      clock_.add_earlier();
      left_jobs_.count_killed(history_);
      SearchResult result = search();
      release(result.end == TunerEnd::paused);
      return result;
    } catch (const control::Superseded&) {
      for (const auto& [index, job] : running_) job->leave();
      running_.clear();
      release();
      throw;
    } catch (const control::Stopped& stopped) {
      const Tidying tidying;
      stop_all();
      release();
      throw control::Stopped(join_left(stopped.what()));
    } catch (const Error& error) {
      const Tidying tidying;
      stop_all();
      release();
      if (left_.empty()) throw;
      std::throw_with_nested(Error(error.code(), join_left(error.what())));
    } catch (...) {
      stop_all();
      release();
      throw;
    }
  }

 private:
  /// Says that this tuner has ended, unless it had not claimed the search.
  void release(bool is_handed_over = false) noexcept {
    if (!claim_.is_held()) return;
    try {
      clock_.keep();
      claim_.release(is_handed_over);
    } catch (const std::exception& error) {
      log::warning("releasing the search: {}", error.what());
    }
  }

  /// With what trials have left behind.
  std::string join_left(const std::string& message) const {
    return left_.empty() ? message : fmt::format("{}; {}", message, join(left_, "; "));
  }

  SearchResult search() {
    while (true) {
      throw_if_interrupted();
      require_own_now_and_then();
      reap();
      if (history_.is_goal_reached()) return finish("until");
      if (!limit_reached().empty()) {
        if (const std::optional<SearchResult> result = end_by_limit()) return *result;
        continue;
      }
      if (limits_.own_time.passed()) {
        stop_all();
        require_own();
        return {TunerEnd::paused, "", report("paused")};
      }
      const bool more = start_segments();
      report_progress();
      if (!more && running_.empty()) return finish("trials");
      bell_.wait(kTick_s);
    }
  }

  void require_own() {
    since_check_ = Stopwatch();
    claim_.require();
  }
  void require_own_now_and_then() {
    if (since_check_.seconds() < 0.5) return;
    require_own();
    clock_.keep_now_and_then();
  }

  /// Starts the next segments; returns false if there are no more.
  bool start_segments() {
    const auto places = static_cast<std::size_t>(search_.settings.integer("concurrency"));
    for (std::size_t i = 0; i < history_.segments().size() && running_.size() < places; ++i)
      if (!history_.segments()[i].has_ended() && !running_.contains(i)) start(i);
    while (running_.size() < places) {
      const Strategy::Next next = strategy_->next(history_.segments());
      if (next.what == Strategy::Next::What::finish) return false;
      if (next.what == Strategy::Next::What::wait) return true;
      start(history_.begin(next.trial, next.epochs));
    }
    return true;
  }

  void start(std::size_t index) {
    const Segment& segment = history_.segments()[index];
    if (index < history_.restored())
      if (Summary summary = left_jobs_.summary_of(segment))
        return history_.end(index, std::move(summary));
    try {
      Options options = resolved_options_of(search_, strategy_->parameters(segment.trial));
      data_.set_places_in(options);
      // Cutting data takes time, during which another tuner may have taken over.
      require_own_now_and_then();
      const auto set = [&](const char* name, Option::Value value) {
        options.set(name, std::move(value), name);
      };
      set("stop_after", static_cast<std::int64_t>(segment.epochs));
      set("checkpoint", records_.trials_uri());
      std::error_code ignored;
      for (const JobOfSegment& job : jobs_of(search_, segment))
        fs::remove_all(runs_ / job.folder, ignored);
      set("output", (runs_ / folder_of_segment(segment)).string());
      running_.emplace(index,
                       std::make_unique<SegmentJob>(id_of_trial(search_, segment), options,
                                                    search_.settings.integer("folds"), bell_));
    } catch (const Error& error) {
      if (error.code() == Code::cancelled || error.code() == Code::resource_exhausted) throw;
      history_.fail(index, error.what());
    }
  }

  void reap() {
    for (auto it = running_.begin(); it != running_.end();) {
      if (!it->second->has_ended()) {
        ++it;
        continue;
      }
      const std::size_t index = it->first;
      const std::unique_ptr<SegmentJob> job = std::move(it->second);
      it = running_.erase(it);
      note_end(index, *job);
      clock_.keep();
    }
  }

  void note_end(std::size_t index, SegmentJob& job) {
    Segment& segment = history_.at(index);
    segment.wall_s += job.seconds();
    try {
      history_.end(index, job.summary());
    } catch (const Error& error) {
      if (const auto* left = dynamic_cast<const control::LeftBehind*>(&error))
        left_.push_back(fmt::format("trial {}: {}", segment.trial, left->what_is_left()));
      segment.cost_usd += job.cost_so_far();
      left_jobs_.mark_counted(segment);
      if (job.was_stopped() || interrupted()) {
        const bool had_time = job.seconds() > 0.5 * clock_.own_s();
        return history_.interrupt(index, job.epoch(), had_time && limits_.own_time.passed());
      }
      segment.epoch = std::max(segment.epoch, job.epoch());
      history_.fail(index, error.what());
    }
  }

  std::string limit_reached() const {
    if (limits_.search.passed()) return "its deadline is over";
    const double budget = limits_.budget > 0 ? limits_.budget : search_.settings.real("budget");
    double spent = history_.cost_usd();
    for (const auto& [index, job] : running_) spent += job->cost_so_far();
    if (budget > 0 && spent >= budget)
      return fmt::format("the budget of {} dollars is used up", budget);
    return "";
  }

  void stop_all() {
    for (const auto& [index, job] : running_) job->stop();
    while (!running_.empty()) {
      reap();
      if (!running_.empty()) bell_.wait(kTick_s);
    }
  }

  /// Empty if the budget is not used up after all: a trial that has just ended may have cost less
  /// than estimated.
  std::optional<SearchResult> end_by_limit() {
    // The last segment may have just ended.
    if (running_.empty() &&
        strategy_->next(history_.segments()).what == Strategy::Next::What::finish)
      return finish("trials");
    stop_all();
    const std::string limit = limit_reached();
    if (limit.empty()) return {};
    return SearchResult{TunerEnd::limit, limit, report("limit")};
  }

  SearchResult finish(const std::string& ended_by) {
    stop_all();
    const Summary summary = report(ended_by);
    records_.finish(*summary);
    return {TunerEnd::finished, "", summary};
  }

  /// As they are recorded.
  std::vector<TrialView> trials() const {
    std::vector<TrialView> trials = history_.trials();
    for (TrialView& trial : trials)
      if (trial.state == "running" && running_.empty()) trial.state = "stopped";
    return trials;
  }

  /// Writes trials.csv and best.yaml; returns the search's summary.
  Summary report(const std::string& ended_by) {
    report_progress(true);
    const std::vector<TrialView> all = trials();
    storage::Storage& store = records_.store();
    store.save("trials.csv", as_bytes(trials_csv(search_, all)));
    if (const TrialView* best = best_of(search_, all))
      store.save("best.yaml", as_bytes(best_yaml(search_, *best)));
    return std::make_shared<const ordered_json>(summary_of(search_, all, clock_.all_s(), ended_by));
  }

  void report_progress(bool is_over = false) {
    std::vector<TrialView> all = trials();
    for (const auto& [index, job] : running_)
      for (TrialView& trial : all)
        if (trial.trial == history_.segments()[index].trial) {
          trial.epoch = std::max(trial.epoch, job->epoch());
          trial.cost_usd += job->cost_so_far();
          const auto metrics = job->metrics();
          const auto metric = metrics.find(search_.settings.text("metric"));
          if (metric != metrics.end()) trial.value = metric->second;
        }
    progress_.tell(all, clock_.own_s(), limits_.search.seconds_left(), is_over);
  }

  Records& records_;
  const fs::path runs_;
  const TunerLimits limits_;
  const Search search_;
  const std::unique_ptr<Strategy> strategy_;
  TunerClaim claim_;
  SearchData data_;
  History history_;
  LeftJobs left_jobs_;
  Progress progress_;
  SearchClock clock_;
  Stopwatch since_check_;
  std::unique_ptr<faas::Invoker> warm_;
  Bell bell_;
  std::vector<std::string> left_;                               ///< by trials, in words
  std::map<std::size_t, std::unique_ptr<SegmentJob>> running_;  ///< by segment; destroyed first
};

/// If no trial was done there is no result.
void require_a_result(Records& records) {
  const std::vector<Segment> segments = records.segments();
  const auto done = [](const Segment& segment) { return segment.state == Segment::State::done; };
  if (segments.empty() || std::any_of(segments.begin(), segments.end(), done)) return;
  fail(Code::internal, "search {}: none of its trials was done; trial {}: {}", records.uri(),
       segments.front().trial, segments.front().reason);
}

}  // namespace

SearchResult run(Records& records, const fs::path& runs, const std::string& chain,
                 const TunerLimits& limits, Observer& observer) {
  const std::optional<ordered_json> summary = records.summary();
  SearchResult result =
      summary ? SearchResult{TunerEnd::finished, "", std::make_shared<const ordered_json>(*summary)}
              : Tuner(records, runs, chain, limits, observer).run();
  if (result.end == TunerEnd::finished) require_a_result(records);
  return result;
}

}  // namespace lambdaml::tune
