#include "lambdaml/tune/tuner.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include <nlohmann/json.hpp>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/control/endings.h"
#include "lambdaml/control/job_channel.h"
#include "lambdaml/control/stores.h"
#include "lambdaml/control/worker_claim.h"
#include "lambdaml/data/places.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/job/job.h"
#include "lambdaml/storage/own_place.h"
#include "lambdaml/trigger/reach.h"
#include "lambdaml/tune/search_data.h"
#include "lambdaml/tune/segment_job.h"
#include "lambdaml/tune/strategy.h"
#include "lambdaml/view/job_view.h"

namespace lambdaml::tune {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;
using Summary = std::shared_ptr<const ordered_json>;

constexpr const char* kClaim = "tuner/claim";
constexpr const char* kReleased = "tuner/released";
constexpr const char* kOrder = "tuner/order";
/// search_seconds().
constexpr const char* kWall = "tuner/wall_s";
constexpr const char* kStopOrder = "stop";
constexpr const char* kBestModel = "best.safetensors";
constexpr double kTick_s = 0.1;
/// How long a new tuner waits at most for its predecessor to end its trials.
constexpr double kHandOver_s = 3;
/// How often a tuner says how long the search has taken, where a request costs nothing, and where
/// it does.
constexpr double kWallPause_s = 5, kExpensiveWallPause_s = 60;
/// How often a segment may use all of a tuner's time without completing an epoch.
constexpr std::uint64_t kMostStalls = 3;

/// Where the summary of a trial says that its model is.
fs::path model_path_in(const ordered_json& summary) {
  return path_of_file_uri(text_at(summary, "model_path"));
}

/// A trial's options, ready to run. Throws invalid_argument for incompatible values.
Options resolved_options_of(const Search& search, const Assignments& assignments) {
  Options options = options_of(search, assignments);
  job::resolve(options);
  return options;
}

/// What the released key holds after the tuner with this claim has handed the search to the next
/// invocation of its chain.
std::string handed_over(std::string_view claim) { return fmt::format("handed over {}", claim); }

/// Throws Stopped or Superseded if the search was last ordered to stop, or to be continued by
/// another chain. An answer that was damaged in transit ends no tuner: it is read again.
void require_order(storage::Storage& store, const std::string& chain) {
  std::optional<Buffer> order = store.load(kOrder);
  if (!order || order->text() == chain) return;
  order = store.load(kOrder);
  if (!order || order->text() == chain) return;
  if (order->text() == kStopOrder)
    throw control::Stopped("the search was stopped, by `lambdaml stop` or a dashboard");
  throw control::Superseded("another tuner was asked to continue the search");
}

std::string id_of_trial(const Search& search, const Segment& segment) {
  return fmt::format("{}-{:04}", search.id, segment.trial);
}
std::string folder_of_segment(const Segment& segment) {
  return fmt::format("{:04}-{}", segment.trial, segment.epochs);
}

class Tuner {
 public:
  Tuner(Records& records, fs::path runs, std::string chain, const TunerLimits& limits,
        Observer& observer)
      : records_(records),
        runs_(std::move(runs)),
        chain_(std::move(chain)),
        limits_(limits),
        observer_(observer),
        search_(records.search().value()),
        strategy_(make_strategy(search_)),
        claim_(records.shared_store(), kClaim, "the tuner"),
        data_(search_, records),
        segments_(records.segments()) {
    const faas::Plugin& platform = faas::registry().get(search_.job.text("platform"));
    // An invoker keeps its functions warm: each trial reuses those of earlier ones.
    if (!platform.remote) warm_ = platform.make(faas::own_options(platform, search_.job));
    for (const Segment& segment : segments_) goal_reached_ = goal_reached_ || is_at_goal(segment);
  }

  SearchResult run() {
    try {
      take_over();
      earlier_s_ = search_seconds(records_);
      count_what_was_killed();
      const SearchResult result = search();
      release(result.end == TunerEnd::paused ? handed_over(claim_.token()) : claim_.token());
      return result;
    } catch (const control::Superseded&) {
      for (const auto& [index, job] : running_) job->leave();
      running_.clear();
      release(claim_.token());
      throw;
    } catch (const control::Stopped& stopped) {
      const Tidying tidying;
      stop_all();
      release(claim_.token());
      throw control::Stopped(join_left(stopped.what()));
    } catch (const Error& error) {
      const Tidying tidying;
      stop_all();
      release(claim_.token());
      if (left_.empty()) throw;
      std::throw_with_nested(Error(error.code(), join_left(error.what())));
    } catch (...) {
      stop_all();
      release(claim_.token());
      throw;
    }
  }

 private:
  /// Claims the search, and waits for a tuner that still runs to end its trials, because both use
  /// the same keys.
  void take_over() {
    storage::Storage& store = records_.store();
    require_order(store, chain_);
    const std::optional<Buffer> holder = store.load(kClaim);
    claim_.claim();
    // A stop that found no tuner, just before the claim, counts as well.
    require_order(store, chain_);
    if (!holder) return;
    const Deadline patience =
        Deadline::in(std::min(kHandOver_s, 0.2 * limits_.own_time.seconds_left()));
    while (!patience.passed()) {
      const std::optional<Buffer> released = store.load(kReleased);
      if (released &&
          (released->text() == holder->text() || released->text() == handed_over(holder->text())))
        return;
      throw_if_interrupted();
      bell_.wait(kTick_s);
    }
    log::info("the previous tuner did not report its end; continuing without it");
  }

  /// Says that this tuner has ended, unless it had not claimed the search.
  void release(const std::string& value) noexcept {
    if (claim_.token().empty()) return;
    try {
      keep_wall();
      records_.store().save(kReleased, as_bytes(value));
    } catch (const std::exception& error) {
      log::warning("releasing the search: {}", error.what());
    }
  }

  /// Of all tuners of the search.
  double wall_s() const { return earlier_s_ + clock_.seconds(); }
  void keep_wall() {
    since_wall_ = Stopwatch();
    records_.store().save(kWall, as_bytes(fmt::format("{:.3f}", wall_s())));
  }

  /// Adds to segments what their jobs cost and how long they ran whose end an earlier tuner did not
  /// record, because it was killed: until their last sign of life, without requests.
  void count_what_was_killed() {
    double usd = 0, seconds = 0;
    std::size_t jobs = 0;
    for (std::size_t index = 0; index < restored_; ++index) {
      Segment& segment = segments_[index];
      if (segment.has_ended()) continue;
      // A segment whose job has ended is not repeated: note_done() adds what it cost.
      if (search_.settings.integer("folds") == 0 && summary_left_by(segment)) continue;
      bool has_more = false;
      for (const JobOfSegment& job : jobs_of(search_, segment)) {
        const json left = status_left_by(job);
        const std::uint64_t begun_ms = count_at(left, "begun_ms");
        const std::string state = text_at(left, "state");
        // Of one that was stopped in order, or failed, the tuner recorded the end.
        if (begun_ms == 0 || state == "stopped" || state == "failed") continue;
        const json summary = left.value("summary", json::object());
        if (is_of_earlier_segment(summary, segments_, segment)) continue;
        if (std::exchange(segment.counted[job.id], begun_ms) == begun_ms) continue;
        const bool is_whole = !summary.empty();
        const double cost =
            is_whole ? number_at(summary, "cost_usd") : number_at(left, "cost_so_far_usd");
        const double ran_s = is_whole ? number_at(summary, "wall_s") : number_at(left, "elapsed_s");
        has_more = true;
        if (!std::isfinite(cost) || !std::isfinite(ran_s)) continue;
        segment.cost_usd += cost;
        segment.wall_s += ran_s;
        if (is_whole) continue;
        if (search_.settings.integer("folds") == 0)
          segment.epoch = std::max(segment.epoch, count_at(left, "metrics_epoch"));
        segment.killed_usd += cost;
        usd += cost;
        seconds += ran_s;
        ++jobs;
      }
      if (has_more) records_.save(index, segment);
    }
    if (jobs > 0)
      log::warning(
          "an earlier tuner was killed, or lost, with {} {} of trials: about ${:.2g} are counted "
          "for "
          "{} until the last sign of life, without requests",
          jobs, jobs == 1 ? "job" : "jobs", usd, human_seconds(seconds));
  }

  /// What is known of a job that nobody runs any more, an object; empty if it has not begun. The
  /// newest epoch is known exactly where its run's folder is. Waits for a channel whose server is
  /// gone once, not for each job.
  json status_left_by(const JobOfSegment& job) {
    for (const std::string& place :
         {(runs_ / job.folder).string(), records_.trials_uri() + "/" + job.id})
      try {
        json status(view::JobView::open(place).status_of_abandoned(channels_of_killed_));
        if (status.contains("begun_ms")) return status;
      } catch (const Error&) {
        // It is not there.
      }
    return json::object();
  }

  /// After an error, its jobs are in the segment's dollars and time.
  void mark_counted(Segment& segment) {
    if (search_.settings.integer("folds") == 0) return;  // its only job has its end recorded
    for (const JobOfSegment& job : jobs_of(search_, segment))
      if (const std::uint64_t begun_ms = count_at(status_left_by(job), "begun_ms"))
        segment.counted[job.id] = begun_ms;
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
      if (goal_reached_) return finish("until");
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

  /// Throws Stopped or Superseded if the search is no longer this tuner's. Two requests.
  void require_own() {
    since_check_ = Stopwatch();
    claim_.require();
    require_order(records_.store(), chain_);
  }
  void require_own_now_and_then() {
    if (since_check_.seconds() < 0.5) return;
    require_own();
    const bool is_expensive = records_.store().capabilities().polling_is_expensive;
    if (since_wall_.seconds() >= (is_expensive ? kExpensiveWallPause_s : kWallPause_s)) keep_wall();
  }

  /// Starts the next segments; returns false if there are no more.
  bool start_segments() {
    const auto places = static_cast<std::size_t>(search_.settings.integer("concurrency"));
    for (std::size_t i = 0; i < segments_.size() && running_.size() < places; ++i)
      if (!segments_[i].has_ended() && !running_.contains(i)) start(i);
    while (running_.size() < places) {
      const Strategy::Next next = strategy_->next(segments_);
      if (next.what == Strategy::Next::What::finish) return false;
      if (next.what == Strategy::Next::What::wait) return true;
      segments_.push_back({.trial = next.trial, .epochs = next.epochs});
      records_.save(segments_.size() - 1, segments_.back());
      start(segments_.size() - 1);
    }
    return true;
  }

  void start(std::size_t index) {
    Segment& segment = segments_[index];
    const std::string job_id = id_of_trial(search_, segment);
    if (index < restored_)
      if (const Summary summary = summary_left_by(segment)) return note_done(index, summary);
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
      running_.emplace(index, std::make_unique<SegmentJob>(
                                  job_id, options, search_.settings.integer("folds"), bell_));
    } catch (const Error& error) {
      if (error.code() == Code::cancelled || error.code() == Code::resource_exhausted) throw;
      note_failure(index, error.what());
    }
  }

  /// For a segment whose end the previous tuner did not record; null if it did not end.
  Summary summary_left_by(const Segment& segment) {
    const std::optional<Buffer> text =
        records_.store().load("trials/" + id_of_trial(search_, segment) + "/summary.json");
    if (!text) return {};
    const auto summary = std::make_shared<const ordered_json>(parse_ordered_json(text->text()));
    if (!summary->is_object() || count_at(*summary, "epochs") != segment.epochs) return {};
    // Without its model it could not become the best trial; from its last checkpoint it soon
    // reaches the end again.
    if (!read_file(model_path_in(*summary))) return {};
    return summary;
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
      keep_wall();
    }
  }

  void note_end(std::size_t index, SegmentJob& job) {
    Segment& segment = segments_[index];
    segment.wall_s += job.seconds();
    try {
      note_done(index, job.summary());
    } catch (const Error& error) {
      if (const auto* left = dynamic_cast<const control::LeftBehind*>(&error))
        left_.push_back(fmt::format("trial {}: {}", segment.trial, left->what_is_left()));
      segment.cost_usd += job.cost_so_far();
      mark_counted(segment);
      if (job.was_stopped() || interrupted()) return note_interruption(index, job);
      segment.epoch = std::max(segment.epoch, job.epoch());
      note_failure(index, error.what());
    }
  }

  void note_done(std::size_t index, const Summary& summary) {
    Segment& segment = segments_[index];
    if (const double cost = number_in(*summary, "cost_usd"); std::isfinite(cost))
      segment.cost_usd += cost;
    segment.epoch = count_at(*summary, "epochs", segment.epochs);
    const std::string& metric = search_.settings.text("metric");
    const bool at_goal = text_at(*summary, "ended_by") == "until";
    const double value = number_in(*summary, metric);
    if (metric == "cost_usd") {
      if (!at_goal && segment.epoch >= segment.epochs)
        return note_failure(index, fmt::format("it did not reach {}", search_.job.text("until")));
      double cost = 0;
      for (const Segment& other : segments_)
        if (other.trial == segment.trial) cost += other.cost_usd;
      segment.value = cost;
    } else if (std::isfinite(value)) {
      segment.value = value;
    } else {
      return note_failure(index, fmt::format("its job has no {}", metric));
    }
    segment.summary = summary;
    segment.state = Segment::State::done;
    keep_model_if_best(index);
    records_.save(index, segment);
    goal_reached_ = goal_reached_ || is_at_goal(segment);
  }

  void note_failure(std::size_t index, const std::string& reason) {
    Segment& segment = segments_[index];
    segment.state = Segment::State::failed;
    segment.reason = printable(reason, 400);
    records_.save(index, segment);
  }

  void note_interruption(std::size_t index, const SegmentJob& job) {
    Segment& segment = segments_[index];
    const bool had_time = job.seconds() > 0.5 * clock_.seconds();
    if (job.epoch() > segment.epoch)
      segment.stalls = 0;
    else if (had_time && limits_.own_time.passed())
      ++segment.stalls;
    segment.epoch = std::max(segment.epoch, job.epoch());
    if (segment.stalls >= kMostStalls)
      return note_failure(index, "an epoch takes longer than the tuner's function may run");
    records_.save(index, segment);
  }

  /// Saves its model in the records before the segment: a segment that is done may be the best.
  void keep_model_if_best(std::size_t index) {
    const std::vector<TrialView> trials = trials_of(*strategy_, segments_);
    const TrialView* best = best_of(search_, trials);
    if (best == nullptr || best->trial != segments_[index].trial) return;
    const fs::path path = model_path_in(*segments_[index].summary);
    if (const std::optional<Buffer> model = read_file(path))
      records_.store().save(kBestModel, *model);
  }

  /// Whether the search can end with it: it has met --until. A search for the lowest cost must see
  /// all trials.
  bool is_at_goal(const Segment& segment) const {
    return segment.state == Segment::State::done && search_.settings.text("metric") != "cost_usd" &&
           segment.summary && text_at(*segment.summary, "ended_by") == "until";
  }

  double spent() const {
    double sum = 0;
    for (const Segment& segment : segments_) sum += segment.cost_usd;
    for (const auto& [index, job] : running_) sum += job->cost_so_far();
    return sum;
  }

  std::string limit_reached() const {
    if (limits_.search.passed()) return "its deadline is over";
    const double budget = limits_.budget > 0 ? limits_.budget : search_.settings.real("budget");
    if (budget > 0 && spent() >= budget)
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
    if (running_.empty() && strategy_->next(segments_).what == Strategy::Next::What::finish)
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

  std::vector<TrialView> trials() const {
    std::vector<TrialView> trials = trials_of(*strategy_, segments_);
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
    return std::make_shared<const ordered_json>(summary_of(search_, all, wall_s(), ended_by));
  }

  /// At the end no time is left, also if fewer epochs were needed than expected.
  void report_progress(bool is_over = false) {
    std::vector<TrialView> all = trials();
    double epochs_done = 0;
    for (const auto& [index, job] : running_)
      for (TrialView& trial : all)
        if (trial.trial == segments_[index].trial) {
          trial.epoch = std::max(trial.epoch, job->epoch());
          trial.cost_usd += job->cost_so_far();
          const auto metrics = job->metrics();
          const auto metric = metrics.find(search_.settings.text("metric"));
          if (metric != metrics.end()) trial.value = metric->second;
        }
    View view;
    view.trials = all;
    for (const TrialView& trial : all) {
      view.cost_usd += trial.cost_usd;
      epochs_done += static_cast<double>(trial.state == "failed" ? trial.epochs : trial.epoch);
    }
    if (!epochs_before_) epochs_before_ = epochs_done;
    const double epochs_here = epochs_done - *epochs_before_;
    const auto expected = static_cast<double>(strategy_->expected_epochs());
    if (epochs_here > 0 && !is_over)
      view.seconds_left =
          std::min(std::max(0.0, expected - epochs_done) / epochs_here * clock_.seconds(),
                   limits_.search.seconds_left());
    view.best = best_of(search_, all);
    view.trials_expected = strategy_->trials();
    observer_.changed(view);
  }

  Records& records_;
  const fs::path runs_;
  const std::string chain_;
  const TunerLimits limits_;
  Observer& observer_;
  const Search search_;
  const std::unique_ptr<Strategy> strategy_;
  control::WorkerClaim claim_;
  SearchData data_;
  std::vector<Segment> segments_;
  const std::size_t restored_ = segments_.size();  ///< begun by an earlier tuner
  control::Stores channels_of_killed_;
  std::unique_ptr<faas::Invoker> warm_;
  Bell bell_;
  const Stopwatch clock_;
  double earlier_s_ = 0;  ///< of earlier tuners
  Stopwatch since_check_, since_wall_;
  bool goal_reached_ = false;
  std::optional<double> epochs_before_;
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

void begin(Search& search, Records& records) {
  if (records.search()) return;
  // They determine the order of sums, so tuners that continue the search must keep them.
  job::choose_threads(search.job, search.settings.integer("concurrency"));
  // Another tuner may continue from another folder.
  for (const char* name : {"data", "test_data"})
    if (!search.job.text(name).empty())
      search.job.set(name, Option::Value(data::Places::parse(search.job.text(name)).text()), name);
  const std::unique_ptr<Strategy> strategy = make_strategy(search);
  Options first = options_of(search, strategy->parameters(0));
  job::resolve(first);
  first.set("checkpoint", Option::Value(records.trials_uri()), "checkpoint");
  trigger::require_reach(first);
  storage::require_atomic_create(records.store(), "a search");
  // Reports errors of the channel now and once, not for each trial.
  const Uri channel = Uri::parse(first.text("channel"));
  storage::open_plain(channel);
  storage::require_own_place(channel);
  SearchData(search, records).set_places_in(first);
  throw_if_interrupted();
  search.begun_ms = static_cast<std::uint64_t>(epoch_ms());
  // Once: a retry of this, whose predecessor ended before the record was written, keeps a stop.
  records.store().create(kOrder, as_bytes(search.id));
  records.begin(search);
}

double search_seconds(Records& records) {
  const std::optional<Buffer> text = records.store().load(kWall);
  return text ? std::max(0.0, to_real(text->text()).value_or(0)) : 0;
}

std::vector<JobOfSegment> jobs_of(const Search& search, const Segment& segment) {
  const std::string id = id_of_trial(search, segment), folder = folder_of_segment(segment);
  const std::int64_t folds = search.settings.integer("folds");
  if (folds == 0) return {{id, folder}};
  std::vector<JobOfSegment> out;
  for (std::int64_t fold = 0; fold < folds; ++fold)
    out.push_back({id_of_fold(id, fold), folder_of_fold(folder, fold)});
  return out;
}

bool is_of_earlier_segment(const json& summary, std::span<const Segment> segments,
                           const Segment& segment) {
  // A job that goes on ends with more epochs; one that has nothing left to do costs next to
  // nothing.
  return !summary.empty() && std::ranges::any_of(segments, [&](const Segment& earlier) {
    return earlier.trial == segment.trial && earlier.epochs < segment.epochs &&
           earlier.has_ended() && count_at(summary, "epochs") <= earlier.epochs;
  });
}

void order_to_run(Records& records, const std::string& chain) {
  records.store().save(kOrder, as_bytes(chain));
}

bool is_stopped(Records& records) {
  const std::optional<Buffer> order = records.store().load(kOrder);
  return order && order->text() == kStopOrder;
}

bool is_running(Records& records) {
  const std::optional<Buffer> holder = records.store().load(kClaim);
  const std::optional<Buffer> released = records.store().load(kReleased);
  const bool has_ended = holder && released && released->text() == holder->text();
  const bool is_awaited = !holder || (released && released->text() == handed_over(holder->text()));
  if (is_awaited) return !is_stopped(records);
  return !has_ended;
}

void request_stop(Records& records) {
  if (!is_running(records))
    fail(Code::not_found, "search {}: no tuner works on it", Uri::parse(records.uri()).display());
  records.store().save(kOrder, as_bytes(kStopOrder));
}

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
