#include "lambdaml/tune/tuner.h"

#include <algorithm>
#include <map>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/control/endings.h"
#include "lambdaml/control/job_channel.h"
#include "lambdaml/control/worker_claim.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/job/job.h"
#include "lambdaml/storage/own_place.h"
#include "lambdaml/trigger/reach.h"
#include "lambdaml/tune/leg_job.h"
#include "lambdaml/tune/staged_data.h"
#include "lambdaml/tune/strategy.h"

namespace lambdaml::tune {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kClaim = "tuner/claim";
constexpr const char* kReleased = "tuner/released";
constexpr const char* kBestModel = "best.safetensors";
constexpr double kTick_s = 0.1;
/// How long a new tuner waits at most for its predecessor to end its trials.
constexpr double kHandOver_s = 3;
/// How often a leg may use all of a tuner's time without completing an epoch.
constexpr std::uint64_t kMostStalls = 3;

/// Where the summary of a trial says that its model is.
fs::path model_path_in(const json& summary) { return local_path(text_at(summary, "model_path")); }

/// A trial's options, ready to run. Throws invalid_argument for incompatible values.
Options resolved_options_of(const Search& search, const Assignments& assignments) {
  Options options = options_of(search, assignments);
  job::resolve(options);
  return options;
}

class Tuner {
 public:
  Tuner(Records& records, fs::path runs, const TunerLimits& limits, Observer& observer)
      : records_(records),
        runs_(std::move(runs)),
        limits_(limits),
        observer_(observer),
        search_(records.search().value()),
        strategy_(make_strategy(search_)),
        claim_(records.shared_store(), kClaim, "the tuner"),
        data_(search_, records),
        legs_(records.legs()) {
    const faas::Plugin& platform = faas::registry().get(search_.job.text("platform"));
    // An invoker keeps its functions warm: each trial reuses those of earlier ones.
    if (!platform.remote) warm_ = platform.make(faas::own_options(platform, search_.job));
    for (const Leg& leg : legs_) goal_reached_ = goal_reached_ || is_at_goal(leg);
  }

  Outcome run() {
    take_over();
    try {
      const Outcome outcome = search();
      release();
      return outcome;
    } catch (const control::Superseded&) {
      for (const auto& [index, job] : running_) job->leave();
      running_.clear();
      release();
      throw;
    } catch (const Error& error) {
      const Tidying tidying;
      stop_all();
      release();
      if (left_.empty()) throw;
      std::throw_with_nested(
          Error(error.code(), fmt::format("{}; {}", error.what(), join(left_, "; "))));
    } catch (...) {
      stop_all();
      release();
      throw;
    }
  }

 private:
  /// Claims the search, and waits for a tuner that still runs to end its trials, because both use
  /// the same keys.
  void take_over() {
    storage::Storage& store = records_.store();
    const std::optional<Buffer> holder = store.load(kClaim);
    claim_.claim();
    if (!holder) return;
    const Deadline patience =
        Deadline::in(std::min(kHandOver_s, 0.2 * limits_.own_time.seconds_left()));
    while (!patience.passed()) {
      const std::optional<Buffer> released = store.load(kReleased);
      if (released && released->text() == holder->text()) return;
      throw_if_interrupted();
      bell_.wait(kTick_s);
    }
    log::info("the tuner before did not say that it has ended; going on without it");
  }

  void release() noexcept {
    try {
      records_.store().save(kReleased, as_bytes(claim_.token()));
    } catch (const std::exception& error) {
      log::warning("releasing the search: {}", error.what());
    }
  }

  Outcome search() {
    while (true) {
      throw_if_interrupted();
      look_whether_superseded();
      reap();
      if (goal_reached_) return finish("until");
      if (!limit_reached().empty()) {
        if (const std::optional<Outcome> outcome = end_by_limit()) return *outcome;
        continue;
      }
      if (limits_.own_time.passed()) {
        stop_all();
        return {Outcome::How::paused, "", report("paused")};
      }
      const bool more = start_legs();
      tell();
      if (!more && running_.empty()) return finish("trials");
      bell_.wait(kTick_s);
    }
  }

  void look_whether_superseded() {
    if (since_look_.seconds() < 0.5) return;
    since_look_ = Stopwatch();
    claim_.require();
  }

  /// Starts the next legs; returns false if there are no more.
  bool start_legs() {
    const auto places = static_cast<std::size_t>(search_.settings.integer("concurrency"));
    for (std::size_t i = 0; i < legs_.size() && running_.size() < places; ++i)
      if (!legs_[i].has_ended() && !running_.contains(i)) start(i);
    while (running_.size() < places) {
      const Strategy::Next next = strategy_->next(legs_);
      if (next.what == Strategy::Next::What::finish) return false;
      if (next.what == Strategy::Next::What::wait) return true;
      legs_.push_back({.trial = next.trial, .epochs = next.epochs});
      records_.save(legs_.size() - 1, legs_.back());
      start(legs_.size() - 1);
    }
    return true;
  }

  std::string job_id_of(const Leg& leg) const {
    return fmt::format("{}-{:04}", search_.id, leg.trial);
  }

  void start(std::size_t index) {
    Leg& leg = legs_[index];
    const std::string job_id = job_id_of(leg);
    if (index < restored_)
      if (const std::optional<std::string> summary = summary_left_by(leg))
        return note_done(index, *summary);
    try {
      Options options = resolved_options_of(search_, strategy_->parameters(leg.trial));
      data_.give_to(options);
      // Cutting data takes time, during which another tuner may have taken over.
      look_whether_superseded();
      const auto set = [&](const char* name, Option::Value value) {
        options.set(name, std::move(value), name);
      };
      set("stop_after", static_cast<std::int64_t>(leg.epochs));
      set("checkpoint", records_.trials_uri());
      const fs::path folder = runs_ / fmt::format("{:04}-{}", leg.trial, leg.epochs);
      std::error_code ignored;
      fs::remove_all(folder, ignored);
      set("output", folder.string());
      running_.emplace(index, std::make_unique<LegJob>(job_id, options, bell_));
    } catch (const Error& error) {
      if (error.code() == Code::cancelled || error.code() == Code::resource_exhausted) throw;
      note_failure(index, error.what());
    }
  }

  /// For a leg whose end the previous tuner did not record.
  std::optional<std::string> summary_left_by(const Leg& leg) {
    const std::optional<Buffer> text =
        records_.store().load("trials/" + job_id_of(leg) + "/summary.json");
    if (!text) return {};
    const json summary = parse_json(text->text());
    if (!summary.is_object() || count_at(summary, "epochs") != leg.epochs) return {};
    // Without its model it could not become the best trial; from its last checkpoint it soon
    // reaches the end again.
    if (!read_file(model_path_in(summary))) return {};
    return std::string(text->text());
  }

  void reap() {
    for (auto it = running_.begin(); it != running_.end();) {
      if (!it->second->has_ended()) {
        ++it;
        continue;
      }
      const std::size_t index = it->first;
      const std::unique_ptr<LegJob> job = std::move(it->second);
      it = running_.erase(it);
      note_end(index, *job);
    }
  }

  void note_end(std::size_t index, LegJob& job) {
    Leg& leg = legs_[index];
    leg.wall_s += job.seconds();
    try {
      note_done(index, job.summary());
    } catch (const Error& error) {
      if (const auto* left = dynamic_cast<const control::LeftBehind*>(&error))
        left_.push_back(fmt::format("trial {}: {}", leg.trial, left->what_is_left()));
      leg.cost_usd += job.cost_so_far();
      if (job.was_stopped() || interrupted()) return note_interruption(index, job);
      leg.epoch = std::max(leg.epoch, job.epoch());
      note_failure(index, error.what());
    }
  }

  void note_done(std::size_t index, const std::string& text) {
    Leg& leg = legs_[index];
    const json summary = parse_json(text);
    leg.cost_usd += number_at(summary, "cost_usd");
    leg.epoch = count_at(summary, "epochs", leg.epochs);
    const std::string& metric = search_.settings.text("metric");
    const bool at_goal = text_at(summary, "ended_by") == "until";
    if (metric == "cost_usd") {
      if (!at_goal && leg.epoch >= leg.epochs)
        return note_failure(index, fmt::format("it did not reach {}", search_.job.text("until")));
      double cost = 0;
      for (const Leg& other : legs_)
        if (other.trial == leg.trial) cost += other.cost_usd;
      leg.value = cost;
    } else if (summary.contains(metric) && summary[metric].is_number()) {
      leg.value = summary[metric].get<double>();
    } else {
      return note_failure(index, fmt::format("its job has no {}", metric));
    }
    leg.summary = text;
    leg.state = Leg::State::done;
    keep_model_if_best(index);
    records_.save(index, leg);
    goal_reached_ = goal_reached_ || is_at_goal(leg);
  }

  void note_failure(std::size_t index, const std::string& reason) {
    Leg& leg = legs_[index];
    leg.state = Leg::State::failed;
    leg.reason = printable(reason, 400);
    records_.save(index, leg);
  }

  void note_interruption(std::size_t index, const LegJob& job) {
    Leg& leg = legs_[index];
    const bool had_time = job.seconds() > 0.5 * clock_.seconds();
    if (job.epoch() > leg.epoch)
      leg.stalls = 0;
    else if (had_time && limits_.own_time.passed())
      ++leg.stalls;
    leg.epoch = std::max(leg.epoch, job.epoch());
    if (leg.stalls >= kMostStalls)
      return note_failure(index, "an epoch takes longer than the tuner's function may run");
    records_.save(index, leg);
  }

  /// Saves its model in the records before the leg: a leg that is done may be the best.
  void keep_model_if_best(std::size_t index) {
    const std::vector<TrialView> trials = trials_of(*strategy_, legs_);
    const TrialView* best = best_of(search_, trials);
    if (best == nullptr || best->trial != legs_[index].trial) return;
    const fs::path path = model_path_in(parse_json(legs_[index].summary));
    if (const std::optional<Buffer> model = read_file(path))
      records_.store().save(kBestModel, *model);
  }

  /// Whether the search can end with it: it has met --until. A search for the lowest cost must look
  /// at all trials.
  bool is_at_goal(const Leg& leg) const {
    return leg.state == Leg::State::done && search_.settings.text("metric") != "cost_usd" &&
           text_at(parse_json(leg.summary), "ended_by") == "until";
  }

  double spent() const {
    double sum = 0;
    for (const Leg& leg : legs_) sum += leg.cost_usd;
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
  std::optional<Outcome> end_by_limit() {
    // The last leg may have just ended.
    if (running_.empty() && strategy_->next(legs_).what == Strategy::Next::What::finish)
      return finish("trials");
    stop_all();
    const std::string limit = limit_reached();
    if (limit.empty()) return {};
    return Outcome{Outcome::How::limit, limit, report("limit")};
  }

  Outcome finish(const std::string& ended_by) {
    stop_all();
    const std::string summary = report(ended_by);
    records_.finish(summary);
    return {Outcome::How::finished, "", summary};
  }

  std::vector<TrialView> trials() const {
    std::vector<TrialView> trials = trials_of(*strategy_, legs_);
    for (TrialView& trial : trials)
      if (trial.state == "running" && running_.empty()) trial.state = "stopped";
    return trials;
  }

  /// Writes trials.csv and best.yaml; returns the summary.
  std::string report(const std::string& ended_by) {
    tell();
    const std::vector<TrialView> all = trials();
    storage::Storage& store = records_.store();
    store.save("trials.csv", as_bytes(trials_csv(search_, all)));
    if (const TrialView* best = best_of(search_, all))
      store.save("best.yaml", as_bytes(best_yaml(search_, *best)));
    return summary_json(search_, all, clock_.seconds(), ended_by);
  }

  void tell() {
    std::vector<TrialView> all = trials();
    double epochs_done = 0;
    for (const auto& [index, job] : running_)
      for (TrialView& trial : all)
        if (trial.trial == legs_[index].trial) {
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
    if (epochs_here > 0)
      view.seconds_left =
          std::min(std::max(0.0, expected - epochs_done) / epochs_here * clock_.seconds(),
                   limits_.search.seconds_left());
    view.best = best_of(search_, all);
    view.trials_expected = strategy_->trials();
    observer_.changed(view);
  }

  Records& records_;
  const fs::path runs_;
  const TunerLimits limits_;
  Observer& observer_;
  const Search search_;
  const std::unique_ptr<Strategy> strategy_;
  control::WorkerClaim claim_;
  StagedData data_;
  std::vector<Leg> legs_;
  const std::size_t restored_ = legs_.size();  ///< begun by an earlier tuner
  std::unique_ptr<faas::Invoker> warm_;
  Bell bell_;
  const Stopwatch clock_;
  Stopwatch since_look_;
  bool goal_reached_ = false;
  std::optional<double> epochs_before_;
  std::vector<std::string> left_;                           ///< by trials, in words
  std::map<std::size_t, std::unique_ptr<LegJob>> running_;  ///< by leg; destroyed first
};

/// If no trial was done there is no result.
void require_a_result(Records& records) {
  const std::vector<Leg> legs = records.legs();
  const auto done = [](const Leg& leg) { return leg.state == Leg::State::done; };
  if (legs.empty() || std::any_of(legs.begin(), legs.end(), done)) return;
  fail(Code::internal, "search {}: none of its trials was done; trial {}: {}", records.uri(),
       legs.front().trial, legs.front().reason);
}

}  // namespace

void begin(Search& search, Records& records) {
  if (records.search()) return;
  // They determine the order of sums, so tuners that continue the search must keep them.
  job::choose_threads(search.job, search.settings.integer("concurrency"));
  // Another tuner may continue from another folder.
  for (const char* name : {"data", "test_data"})
    if (!search.job.text(name).empty())
      search.job.set(name, Option::Value(Uri::parse(search.job.text(name)).text()), name);
  const std::unique_ptr<Strategy> strategy = make_strategy(search);
  Options first = options_of(search, strategy->parameters(0));
  job::resolve(first);
  first.set("checkpoint", Option::Value(records.trials_uri()), "checkpoint");
  trigger::require_reach(first);
  // Reports errors of the channel now and once, not for each trial.
  const Uri channel = Uri::parse(first.text("channel"));
  storage::open_plain(channel);
  storage::require_own_place(channel);
  StagedData(search, records).give_to(first);
  throw_if_interrupted();
  records.begin(search);
}

Outcome run(Records& records, const fs::path& runs, const TunerLimits& limits, Observer& observer) {
  const std::optional<std::string> summary = records.summary();
  Outcome outcome = summary ? Outcome{Outcome::How::finished, "", *summary}
                            : Tuner(records, runs, limits, observer).run();
  if (outcome.how == Outcome::How::finished) require_a_result(records);
  return outcome;
}

}  // namespace lambdaml::tune
