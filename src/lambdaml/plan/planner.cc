#include "lambdaml/plan/planner.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <limits>
#include <map>
#include <mutex>
#include <set>
#include <tuple>
#include <utility>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/held_warnings.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/optim/registry.h"
#include "lambdaml/plan/estimate.h"
#include "lambdaml/plan/round_model.h"

namespace lambdaml::plan {
namespace {

constexpr std::int64_t kPilotWorkers = 2;
constexpr std::int64_t kPilotEpochs = 2;
/// A pilot is run to its end if it takes no longer: jobs may converge before their last epoch. By
/// what its rows and rounds usually take, so that the same question has the same answer.
constexpr double kWholePilot_s = 0.5, kRoundOfPilot_s = 1e-4;
/// A pilot of a sample has several steps in an epoch, whatever the job's batches are.
constexpr double kStepsOfSample = 4;
/// Simulations of more rounds of workers take longer than a user waits.
constexpr double kMostSimulated = 50'000;
/// More aggregators are never better: their requests are what costs.
constexpr std::int64_t kMostAggregators = 64;
constexpr double kHeadBytes = 64;  ///< of a message

/// How large a job is: a pilot, or all of it.
struct Size {
  double epochs = 1;
  double rows = 0, data_bytes = 0;
  double computed_rows = 0;  ///< of all passes
  double rounds = 0;         ///< by two workers, with the steps of the pilot
  double batch = 1;          ///< rows
  double trained = 1;        ///< share of the rows that is not held out
};

/// A way to train, as short simulations of it show.
struct Facts {
  Options job;  ///< not resolved
  std::string epochs_option;
  bool has_goal = false;                    ///< its epochs are those that the goal takes
  double epochs = 1;                        ///< otherwise, and at most
  Size pilot;                               ///< one epoch
  Size first;                               ///< the same of all rows
  double later_rounds = 0, later_rows = 0;  ///< of each further epoch of all rows
  /// Steps of an epoch follow from the rows of a batch, and the rest of its rounds is the same for
  /// any number of workers; or no round of it is a step.
  bool has_steps = false;
  double message_bytes = 0;

  Size whole(double epochs) const {
    Size out = first;
    out.epochs = epochs;
    out.rounds += (epochs - 1) * later_rounds;
    out.computed_rows += (epochs - 1) * later_rows;
    return out;
  }
};

/// Rows that stand for all of them; null: the job's own.
struct PilotRows {
  std::shared_ptr<const data::Dataset> rows;
  double all_rows = 0;
};

/// Of a channel: what passes, and is billed of a function, beside starts, computing and rounds.
struct Fixed {
  double seconds = 0, billed_s = 0;
  double requests_usd = 0, requests = 0;  ///< of one worker
};
using FixedByStore = std::map<const sim::StoreProfile*, Fixed>;

double gigabytes(const Candidate& candidate) {
  return static_cast<double>(candidate.memory_mb) / 1024;
}

double usd_of_seconds(const Candidate& one, const sim::FunctionProfile& functions,
                      const sim::StoreProfile& store, double s) {
  return s * (static_cast<double>(one.workers) * functions.gb_second * gigabytes(one) +
              store.prices.hour / 3600);
}

/// Whether they train the same model, whatever their channels, memory and aggregators are.
bool train_the_same(const Candidate& a, const Candidate& b) {
  return a.way == b.way && a.workers == b.workers;
}

class Planner {
 public:
  explicit Planner(const Question& question) : question_(question) {
    for (const std::string& name : question.channels) question.profile.store(name);
    for (const sim::StoreProfile& store : question.profile.stores)
      if (question.channels.empty() ||
          std::ranges::find(question.channels, store.name) != question.channels.end())
        channels_.push_back(&store);
    // What a job leaves open is chosen as `train` chooses it.
    const Options resolved = in_world(question.job, world_of(channels_.front()->name));
    const std::string pattern = resolved.text("sync_mode");
    if (!comm::registry().get(pattern).bulk_synchronous)
      fail(Code::invalid_argument,
           "plan: workers of the pattern '{}' do not wait for each other, so that their rounds "
           "cannot be estimated; simulate takes such jobs",
           pattern);
    memory_mb_ = resolved.integer("memory_mb");
    workers_ = resolved.integer("workers");
    comm::MergeSizes sizes{.workers = static_cast<std::uint32_t>(workers_),
                           .options = comm::pattern_options(resolved)};
    if (const double per_s = channels_.front()->put_per_s; per_s > 0) sizes.writes_per_s = per_s;
    const comm::Plugin& plugin = comm::registry().get(pattern);
    aggregators_ = plugin.aggregators ? plugin.aggregators(sizes) : 1;
    for (const Way& way : question.ways) ways_.push_back({.way = way});
    if (ways_.empty()) ways_.emplace_back();
  }

  Plan run() {
    Plan out;
    run_goal_pilots();
    learn_all_facts();
    FixedByStore fixed;
    for (const sim::StoreProfile* store : channels_) fixed[store] = pilot(*store);
    std::vector<Group> groups = groups_of_candidates();
    parallel_for(groups.size(), processors(),
                 [&](std::size_t i) { estimate_group(fixed.at(groups[i].store), groups[i]); });
    for (Group& group : groups) {
      out.considered += group.considered;
      std::ranges::move(group.candidates, std::back_inserter(out.candidates));
    }
    simulate_best(fixed, out.candidates);
    out.ways = ways_;
    out.pilots = std::move(pilots_);
    out.missed = std::move(missed_);
    mark_front(out.candidates);
    if (!out.candidates.empty() && out.candidates.front().meets_limits) {
      out.best = 0;
      out.changes = changes(out.candidates);
    }
    out.hosts = on_hosts(out.candidates);
    return out;
  }

  Candidate estimate_as_it_is() {
    learn_all_facts();
    const sim::StoreProfile& store = *channels_.front();
    Candidate out = candidate(store, 0, workers_, memory_mb_, std::min(aggregators_, workers_));
    out.epochs = out.pilot_epochs = {facts_[0].epochs, facts_[0].epochs, facts_[0].epochs};
    estimate(store, pilot(store), facts_[0].whole(facts_[0].epochs), out);
    return out;
  }

 private:
  SimulatedWorld world_of(const std::string& channel) const {
    SimulatedWorld world;
    world.profile = question_.profile;
    world.channel = channel;
    world.seconds_per_row = question_.seconds_per_row;
    world.staging_s = question_.staging_s;
    world.load_s = question_.load_s;
    world.rows = question_.rows ? question_.rows : question_.data;
    return world;
  }

  /// A job as the candidate says, of all rows or of some, for all epochs or for so many.
  SimulatedRun simulate_one(Options job, const Candidate& candidate, const PilotRows& some,
                            std::uint64_t seed) const {
    SimulatedWorld world = world_of(candidate.channel);
    if (some.rows) world.rows = some.rows;
    const auto set = [&](const char* name, std::int64_t value) {
      job.set(name, Option::Value(value), name);
    };
    set("workers", candidate.workers);
    set("memory_mb", candidate.memory_mb);
    // A store that adds up itself refuses them.
    if (!question_.profile.store(candidate.channel).adds) set("aggregators", candidate.aggregators);
    const log::QuietLog quiet;  // what is to be said of the job's options was said of the first one
    return simulate(in_world(std::move(job), world), world, seed);
  }

  /// Candidates that differ in their aggregators only.
  struct Group {
    const sim::StoreProfile* store = nullptr;
    std::size_t way = 0;
    std::int64_t workers = 1, memory_mb = 0;
    Epochs epochs = {};
    std::size_t considered = 0;
    std::vector<Candidate> candidates = {};
  };

  std::vector<Group> groups_of_candidates() {
    std::vector<Group> out;
    for (std::size_t way = 0; way < ways_.size(); ++way) {
      bool is_any = false;
      for (const std::int64_t workers : worker_counts()) {
        const std::optional<Epochs> epochs = epochs_of(way, static_cast<double>(workers));
        if (!epochs) continue;
        is_any = true;
        for (const sim::StoreProfile* store : channels_)
          for (const std::int64_t memory_mb : memories())
            out.push_back({.store = store,
                           .way = way,
                           .workers = workers,
                           .memory_mb = memory_mb,
                           .epochs = *epochs});
      }
      if (!is_any && is_possible(way)) missed_.push_back(ways_[way].way.text());
    }
    if (out.empty())
      fail(Code::invalid_argument,
           "plan: by a pilot, {} is not reached within the job's epochs: give more --epochs",
           question_.job.text("until"));
    return out;
  }

  /// Whether the model can be trained so.
  bool is_possible(std::size_t way) const { return facts_[way].epochs > 0; }

  /// nullopt: that many workers do not reach the goal within the job's epochs.
  std::optional<Epochs> epochs_of(std::size_t way, double workers) const {
    if (!is_possible(way)) return {};
    const double most = facts_[way].epochs;
    if (!facts_[way].has_goal || !pilots_ || ways_[way].way.is_known)
      return Epochs{most, most, most};
    std::optional<Epochs> out = pilots_->ways[way]->of(workers);
    if (!out || out->median > most) return {};
    out->most = std::min(out->most, most);
    return out;
  }

  /// More aggregators always need more requests, and from some number on also more time, so that
  /// those beyond it, which take long to estimate, are worse in everything.
  void estimate_group(const Fixed& fixed, Group& group) const {
    constexpr double kLonger = 1.02;
    double least_s = std::numeric_limits<double>::infinity();
    const std::vector<std::int64_t> counts =
        group.store->adds ? std::vector<std::int64_t>{1}
                          : aggregator_counts(facts_[group.way], group.workers);
    group.considered = counts.size();
    for (const std::int64_t aggregators : counts) {
      Candidate one =
          candidate(*group.store, group.way, group.workers, group.memory_mb, aggregators);
      one.epochs = one.pilot_epochs = group.epochs;
      estimate(*group.store, fixed, facts_[group.way].whole(one.epochs.median), one);
      if (one.rounds_s > kLonger * least_s) return;
      least_s = std::min(least_s, one.rounds_s);
      group.candidates.push_back(std::move(one));
    }
  }

  static Candidate candidate(const sim::StoreProfile& store, std::size_t way, std::int64_t workers,
                             std::int64_t memory_mb, std::int64_t aggregators) {
    Candidate out;
    out.channel = store.name;
    out.way = way;
    out.workers = workers;
    out.memory_mb = memory_mb;
    out.aggregators = aggregators;
    return out;
  }

  // ---- pilots ----

  /// Of ways whose epochs are not known.
  void run_goal_pilots() {
    const auto is_unknown = [](const ResolvedWay& one) { return !one.way.is_known; };
    if (question_.job.text("until").empty() || question_.ways.empty() ||
        std::ranges::none_of(ways_, is_unknown))
      return;
    const Sample sample = question_.data
                              ? Sample{*question_.data, static_cast<double>(question_.data->rows())}
                              : sample_or_all(question_.job);
    PilotSettings settings = question_.pilots;
    settings.most_workers = question_.most_workers;
    pilots_ =
        plan::run_goal_pilots(question_.job, question_.ways, world_of(channels_.front()->name),
                              sample.rows, sample.all_rows, settings);
    const Sample some = sample.thinned(settings.rows);
    sample_ = {std::make_shared<const data::Dataset>(some.rows), some.all_rows};
  }

  void learn_all_facts() {
    for (std::size_t way = 0; way < ways_.size(); ++way) {
      facts_.emplace_back();
      facts_.back().epochs = 0;
      if (!pilots_ || ways_[way].way.is_known || pilots_->ways[way]) learn_facts(way);
    }
  }

  /// From one epoch by two workers and one by four, and from all by two, or from two epochs where
  /// these take too long: both numbers go on as they begin.
  void learn_facts(std::size_t number) {
    Facts& facts = facts_[number];
    ResolvedWay& way = ways_[number];
    const sim::StoreProfile& store = *channels_.front();
    facts.job = way.way.applied_to(question_.job);
    Options resolved;
    {
      const log::QuietLog quiet;
      resolved = in_world(facts.job, world_of(store.name));
    }
    const optim::Plugin& optimizer = optim::registry().get(resolved.text("optim"));
    way.optimizer = optimizer.name;
    way.batch_size = std::max<std::int64_t>(1, resolved.integer("batch_size"));
    way.has_batches = !optimizer.whole_passes;
    facts.epochs_option = optimizer.epochs_option;
    facts.epochs =
        static_cast<double>(std::max<std::int64_t>(1, resolved.integer(facts.epochs_option)));
    facts.has_goal = pilots_ || way.way.is_known;
    // The first way's pilots are those of each channel, too.
    const bool is_sampled = number > 0 && sample_.rows != nullptr;
    const PilotRows some = is_sampled ? sample_ : PilotRows{question_.rows, question_.all_rows};
    facts.pilot.batch = facts.first.batch = static_cast<double>(way.batch_size);
    facts.pilot.trained = facts.first.trained = 1 - resolved.real("valid_ratio");
    if (some.rows && static_cast<double>(some.rows->rows()) < some.all_rows)
      facts.pilot.batch = std::clamp(
          std::floor(static_cast<double>(some.rows->rows()) / (2 * kPilotWorkers * kStepsOfSample)),
          1.0, facts.first.batch);
    const auto run = [&](std::int64_t workers, double epochs) {
      return simulate_one(pilot_job(facts, optimizer, epochs),
                          candidate(store, number, workers, memory_mb_, 1), some, 1);
    };
    const SimulatedRun one = run(kPilotWorkers, 1);
    if (number == 0) pilot_of_first_ = one;
    facts.pilot.rows = one.rows;
    facts.pilot.data_bytes = one.data_bytes;
    facts.pilot.computed_rows = one.computed_rows;
    facts.pilot.rounds = static_cast<double>(one.rounds);
    const double times = some.rows ? some.all_rows / std::max(1.0, one.rows) : 1;
    facts.first.rows = times * one.rows;
    facts.first.data_bytes = times * one.data_bytes;
    facts.first.computed_rows = times * one.computed_rows;
    facts.first.rounds = facts.pilot.rounds;
    learn_later_epochs(number, times, run);
    const double by_four = static_cast<double>(run(2 * kPilotWorkers, 1).rounds);
    const double fewer =
        steps_of_epoch(facts.pilot, kPilotWorkers) - steps_of_epoch(facts.pilot, 2 * kPilotWorkers);
    // Where steps are not counted by rows, e.g. in epochs of an outer optimizer, rounds are as
    // many.
    facts.has_steps = fewer > 0 && std::abs(facts.pilot.rounds - by_four - fewer) < 0.5 * fewer;
    // Of each round the one worker sends its message, and the other the result.
    facts.message_bytes =
        static_cast<double>(one.bytes_sent) / 2 / std::max(1.0, facts.pilot.rounds);
  }

  void learn_later_epochs(std::size_t number, double times,
                          const std::function<SimulatedRun(std::int64_t, double)>& run) {
    Facts& facts = facts_[number];
    const std::optional<Epochs> by_two = epochs_of(number, kPilotWorkers);
    const double epochs = by_two ? by_two->median : facts.epochs;
    if (epochs <= 1) return;
    const double epoch_s = question_.seconds_per_row * facts.pilot.computed_rows +
                           kRoundOfPilot_s * facts.pilot.rounds;
    const bool to_end = epochs <= kPilotEpochs || epoch_s * epochs < kWholePilot_s;
    const SimulatedRun more = run(kPilotWorkers, to_end ? epochs : kPilotEpochs);
    if (to_end && !facts.has_goal) facts.epochs = static_cast<double>(more.epochs);
    const double further = static_cast<double>(more.epochs) - 1;
    if (further <= 0) return;
    facts.later_rounds = (static_cast<double>(more.rounds) - facts.pilot.rounds) / further;
    facts.later_rows = times * (more.computed_rows - facts.pilot.computed_rows) / further;
  }

  /// A goal that is estimated must not end it.
  static Options pilot_job(const Facts& facts, const optim::Plugin& optimizer, double epochs) {
    Options job = facts.job;
    const auto set = [&](const std::string& name, Option::Value value) {
      job.set(name, std::move(value), name);
    };
    if (facts.has_goal) {
      set("until", std::string());
      set("patience", std::int64_t{0});
    }
    if (epochs < facts.epochs) set(facts.epochs_option, static_cast<std::int64_t>(epochs));
    // Where steps are not those of batches, their size may decide about more than it says.
    if (facts.pilot.batch < facts.first.batch && optimizer.pace != optim::Pace::epochs)
      set("batch_size", static_cast<std::int64_t>(facts.pilot.batch));
    return job;
  }

  Fixed pilot(const sim::StoreProfile& store) const {
    Candidate same = candidate(store, 0, kPilotWorkers, memory_mb_, 1);
    const Facts& facts = facts_[0];
    const SimulatedRun run =
        &store == channels_.front()
            ? pilot_of_first_
            : simulate_one(pilot_job(facts, optim::registry().get(ways_[0].optimizer), 1), same,
                           {question_.rows, question_.all_rows}, 1);
    estimate(store, {}, facts.pilot, same);
    const double p = kPilotWorkers;
    const double billed_s =
        (run.functions_usd / p - question_.profile.functions.request) /
        std::max(1e-30, question_.profile.functions.gb_second * gigabytes(same));
    Fixed out;
    out.seconds = std::max(0.0, run.seconds - same.seconds);
    out.billed_s = std::max(0.0, billed_s - (same.seconds - same.start_s));
    if (question_.profile.functions.gb_second <= 0) out.billed_s = 0;
    out.requests_usd = std::max(0.0, run.requests_usd - usd_of_rounds(store, same)) / p;
    out.requests = std::max(0.0, static_cast<double>(run.requests()) - same.requests) / p;
    return out;
  }

  // ---- estimates ----

  /// Of the worker with the most rows.
  double steps_of_epoch(const Size& size, double workers) const {
    return std::ceil(std::ceil(size.rows * size.trained / workers) / size.batch);
  }

  double rounds_for(double workers, const Facts& facts, const Size& size) const {
    if (!facts.has_steps) return size.rounds;
    const double fewer = steps_of_epoch(facts.pilot, kPilotWorkers) - steps_of_epoch(size, workers);
    return std::max(1.0, size.rounds - size.epochs * fewer);
  }

  /// The round's requests as they were estimated, and the price of their bytes.
  double usd_of_rounds(const sim::StoreProfile& store, const Candidate& candidate) const {
    const RoundEstimate each = round_of(store, candidate);
    const RoundRequests useful = requests_of(shape_of(candidate));
    const sim::StorePrices& prices = store.prices;
    const double chunk =
        facts_[candidate.way].message_bytes / static_cast<double>(candidate.aggregators);
    const auto units = [&](double bytes) { return std::max(1.0, std::ceil(chunk / bytes)); };
    return candidate.rounds *
           (each.puts * (prices.put + prices.put_gb * chunk / 1e9 + prices.put_kb * units(1024)) +
            each.gets * prices.get + (each.gets - useful.gets) * (prices.get_kb + prices.get_4kb) +
            useful.gets * (prices.get_gb * chunk / 1e9 + prices.get_kb * units(1024) +
                           prices.get_4kb * units(4096)) +
            each.removes * prices.remove);
  }

  Round shape_of(const Candidate& candidate) const {
    return {static_cast<std::uint32_t>(candidate.workers),
            static_cast<std::uint32_t>(candidate.aggregators),
            facts_[candidate.way].message_bytes +
                kHeadBytes * static_cast<double>(candidate.aggregators - 1)};
  }

  /// Small messages take the same time from functions of any memory, and further rounds than those
  /// that are drawn are the same for all jobs.
  RoundEstimate round_of(const sim::StoreProfile& store, const Candidate& candidate) const {
    constexpr double kSmall = 20'000;
    const double bytes = facts_[candidate.way].message_bytes;
    const std::int64_t memory_mb = bytes < kSmall ? memory_mb_ : candidate.memory_mb;
    const Round shape = shape_of(candidate);
    const double drawn = rounds_drawn(shape, candidate.rounds);
    const auto key =
        std::tuple(store.name, candidate.workers, candidate.aggregators, memory_mb, bytes, drawn);
    {
      const std::lock_guard lock(mutex_);
      if (const auto known = rounds_.find(key); known != rounds_.end())
        return known->second.of(candidate.rounds);
    }
    const RoundEstimate out = estimate_round(shape, store, question_.profile.functions,
                                             static_cast<double>(memory_mb), drawn);
    const std::lock_guard lock(mutex_);
    return rounds_.emplace(key, out).first->second.of(candidate.rounds);
  }

  /// Fills in a candidate for a job of that size.
  void estimate(const sim::StoreProfile& store, const Fixed& fixed, const Size& size,
                Candidate& out) const {
    const sim::FunctionProfile& functions = question_.profile.functions;
    const auto memory = static_cast<double>(out.memory_mb);
    const auto p = static_cast<double>(out.workers);
    out.rounds = rounds_for(p, facts_[out.way], size);
    const RoundEstimate round = round_of(store, out);
    out.start_s = functions.starts_s.empty() ? functions.invoke.expected_longest(p) +
                                                   functions.cold_start.expected_longest(p)
                                             : sim::interpolated(functions.starts_s, p);
    // Functions that are processes of one machine share its processors.
    const double queue = functions.host_processors > 0
                             ? std::max(1.0, p / static_cast<double>(functions.host_processors))
                             : 1;
    out.start_s = std::max(out.start_s, queue * functions.cold_start.mean());
    // The slowest has a row more.
    const double share = std::ceil(size.rows / p) / std::max(1.0, size.rows);
    out.compute_s =
        (question_.seconds_per_row * size.computed_rows * share + functions.step_s * out.rounds) /
        functions.processors(memory);
    out.compute_s *= queue;  // of more threads, which only large steps use, nothing is said
    out.rounds_s = out.rounds * round.seconds;
    const double load_s =
        size.data_bytes / p /
        std::min(sim::interpolated(store.get_bytes_per_s, memory), functions.network.bytes_per_s);
    const double run_s = load_s + out.compute_s + out.rounds_s;
    out.seconds = fixed.seconds + out.start_s + run_s;
    out.requests = fixed.requests * p + out.rounds * (round.puts + round.gets + round.removes);
    out.servers_usd = store.prices.hour * out.seconds / 3600;
    out.usd =
        p * (functions.gb_second * gigabytes(out) * (run_s + fixed.billed_s) + functions.request) +
        usd_of_rounds(store, out) + fixed.requests_usd * p + out.servers_usd;
    out.estimated_s = out.seconds;
    out.estimated_usd = out.usd;
    out.epoch_usd = usd_of_rounds(store, out) / out.epochs.median;
    std::tie(out.seconds_p10, out.usd_p10) = after(out, store, out.epochs.least);
    std::tie(out.seconds_p90, out.usd_p90) = after(out, store, out.epochs.most);
    judge(out);
  }

  /// Seconds and dollars if the estimate had another number of epochs.
  std::pair<double, double> after(const Candidate& one, const sim::StoreProfile& store,
                                  double epochs) const {
    const double more = epochs - one.epochs.median;
    const double more_s = more * (one.compute_s + one.rounds_s) / one.epochs.median;
    return {one.seconds + more_s,
            one.usd + more * one.epoch_usd +
                usd_of_seconds(one, question_.profile.functions, store, more_s)};
  }

  void judge(Candidate& candidate) const {
    candidate.meets_limits =
        (question_.deadline_s <= 0 || candidate.seconds_p90 <= question_.deadline_s) &&
        (question_.budget_usd <= 0 || candidate.usd_p90 <= question_.budget_usd);
  }

  // ---- the order ----

  double worth(double seconds, double usd) const {
    switch (question_.aim) {
      case Aim::time:
        return seconds;
      case Aim::cost:
        return usd;
      case Aim::product:
        break;
    }
    return seconds * usd;
  }

  /// How far a candidate misses the limits, as a factor.
  double excess(const Candidate& candidate) const {
    double factor = 1;
    if (question_.deadline_s > 0)
      factor *= std::max(1.0, candidate.seconds_p90 / question_.deadline_s);
    if (question_.budget_usd > 0) factor *= std::max(1.0, candidate.usd_p90 / question_.budget_usd);
    return factor;
  }

  /// Where nothing costs anything, the fastest is the best.
  bool is_better(const Candidate& a, const Candidate& b) const {
    if (a.meets_limits != b.meets_limits) return a.meets_limits;
    if (!a.meets_limits) return excess(a) < excess(b);
    return std::tuple(worth(a.seconds, a.usd), a.seconds, a.usd) <
           std::tuple(worth(b.seconds, b.usd), b.seconds, b.usd);
  }

  void sort(std::vector<Candidate>& all) const {
    std::ranges::stable_sort(
        all, [&](const Candidate& a, const Candidate& b) { return is_better(a, b); });
  }

  /// The best one is simulated, until ten were: then what is best has been.
  void simulate_best(const FixedByStore& fixed, std::vector<Candidate>& all) {
    const Stopwatch clock;
    sort(all);
    for (int left = question_.simulated; left > 0 && clock.seconds() < question_.patience_s;
         --left) {
      const auto next = std::ranges::find_if(all, [](const Candidate& one) {
        return !one.is_simulated && static_cast<double>(one.workers) * one.rounds < kMostSimulated;
      });
      if (next == all.end()) return;
      bool is_reached = false;
      try {
        is_reached = refine(fixed, *next);
      } catch (const Error& error) {
        // It cannot run so: it lacks memory or time, or has more workers than rows. Others may.
        const bool cannot = error.code() == Code::resource_exhausted ||
                            error.code() == Code::deadline_exceeded ||
                            error.code() == Code::invalid_argument;
        if (!cannot || all.size() == 1) throw;
        all.erase(next);
        continue;
      }
      if (is_reached)
        share_epochs(fixed, *next, all);
      else
        drop_missed(*next, all);
      sort(all);
    }
  }

  /// What was estimated, with the epochs that all rows took.
  void estimate_again(const FixedByStore& fixed, double epochs, Candidate& out) const {
    out.epochs = {epochs, epochs, epochs};
    const sim::StoreProfile& store = question_.profile.store(out.channel);
    estimate(store, fixed.at(&store), facts_[out.way].whole(epochs), out);
  }

  /// Candidates that train the same model as a simulated one take as many epochs.
  void share_epochs(const FixedByStore& fixed, const Candidate& simulated,
                    std::vector<Candidate>& all) const {
    const double epochs = simulated.epochs.median;
    std::vector<Candidate*> others;
    for (Candidate& one : all)
      if (!one.is_simulated && train_the_same(one, simulated) &&
          (one.epochs.least != epochs || one.epochs.most != epochs))
        others.push_back(&one);
    parallel_for(others.size(), processors(),
                 [&](std::size_t i) { estimate_again(fixed, epochs, *others[i]); });
  }

  /// Candidates that train the same model as one that missed the goal miss it, too.
  void drop_missed(const Candidate& candidate, std::vector<Candidate>& all) {
    const Candidate missed = candidate;  // it is one of them
    std::erase_if(all, [&](const Candidate& one) { return train_the_same(one, missed); });
    if (all.empty())
      fail(Code::invalid_argument,
           "plan: of all rows, no way reaches {} within the job's epochs: give more --epochs",
           question_.job.text("until"));
    const auto is_by_it = [&](const Candidate& one) { return one.way == missed.way; };
    if (std::ranges::none_of(all, is_by_it)) missed_.push_back(ways_[missed.way].way.text());
  }

  /// Returns whether it reached the goal, if it is to. All seeds train the same model.
  bool refine(const FixedByStore& fixed, Candidate& candidate) const {
    std::vector<double> seconds, usd, servers_usd;
    const Facts& facts = facts_[candidate.way];
    SimulatedRun last;
    for (int seed = 1; seed <= question_.seeds; ++seed) {
      last =
          simulate_one(facts.job, candidate, {question_.rows, 0}, static_cast<std::uint64_t>(seed));
      if (pilots_ && !ways_[candidate.way].way.is_known && last.ended_by != "until") return false;
      seconds.push_back(last.seconds);
      usd.push_back(last.usd());
      servers_usd.push_back(last.servers_usd);
    }
    estimate_again(fixed, std::max(1.0, static_cast<double>(last.epochs)), candidate);
    candidate.requests = static_cast<double>(last.requests());
    candidate.rounds = static_cast<double>(last.rounds);
    candidate.seconds = quantile(seconds, 0.5);
    candidate.seconds_p10 = quantile(seconds, 0.1);
    candidate.seconds_p90 = quantile(seconds, 0.9);
    candidate.usd = quantile(usd, 0.5);
    candidate.servers_usd = quantile(servers_usd, 0.5);
    candidate.usd_p10 = quantile(usd, 0.1);
    candidate.usd_p90 = quantile(usd, 0.9);
    candidate.is_simulated = true;
    judge(candidate);
    return true;
  }

  static void mark_front(std::vector<Candidate>& all) {
    std::vector<Candidate*> by_time;
    for (Candidate& candidate : all) by_time.push_back(&candidate);
    std::ranges::stable_sort(
        by_time, {}, [](const Candidate* one) { return std::pair(one->seconds, one->usd); });
    double cheapest = std::numeric_limits<double>::infinity();
    for (Candidate* const candidate : by_time) {
      candidate->is_on_front = candidate->usd < cheapest;
      cheapest = std::min(cheapest, candidate->usd);
    }
  }

  std::vector<Change> changes(const std::vector<Candidate>& all) const {
    struct Case {
      const char* when;
      Circumstances circumstances;
    };
    constexpr Case kCases[] = {
        {"a row took twice as long", {.compute = 2}},
        {"a row took half as long", {.compute = 0.5}},
        {"requests took twice as long", {.rounds = 2}},
        {"requests took half as long", {.rounds = 0.5}},
        {"the goal took the epochs of the slowest pilots", {.epochs = &Epochs::most}},
        {"the goal took the epochs of the quickest pilots", {.epochs = &Epochs::least}}};
    std::vector<Change> out;
    for (const Case& one : kCases) {
      std::vector<Candidate> then;
      for (const Candidate& candidate : all) {
        then.push_back(in_circumstances(candidate, question_.profile, one.circumstances));
        judge(then.back());
      }
      const auto best = std::ranges::min_element(
          then, [&](const Candidate& a, const Candidate& b) { return is_better(a, b); });
      if (best != then.begin())
        out.push_back({one.when, static_cast<std::size_t>(best - then.begin())});
    }
    return out;
  }

  // ---- what is considered ----

  /// Each worker has a row at least.
  std::vector<std::int64_t> worker_counts() const {
    const std::int64_t most = std::clamp(static_cast<std::int64_t>(facts_[0].first.rows),
                                         std::int64_t{1}, question_.most_workers);
    std::set<std::int64_t> out{most};
    for (std::int64_t n = 1; n < most; n *= 2) out.insert(n);
    return {out.begin(), out.end()};
  }

  std::vector<std::int64_t> memories() const {
    const sim::FunctionProfile& functions = question_.profile.functions;
    std::set<std::int64_t> out{memory_mb_};
    if (functions.host_processors > 0) return {memory_mb_};  // which changes nothing there
    for (const double processors : {0.5, 1.0, 2.0}) {
      const double mb = std::ceil(processors * functions.mb_per_processor);
      if (mb >= functions.least_mb && mb <= functions.most_mb)
        out.insert(static_cast<std::int64_t>(mb));
    }
    return {out.begin(), out.end()};
  }

  /// A vector has at most as many chunks as numbers.
  static std::vector<std::int64_t> aggregator_counts(const Facts& facts, std::int64_t workers) {
    const auto numbers = static_cast<std::int64_t>((facts.message_bytes - kHeadBytes) / 4);
    const std::int64_t most =
        std::max<std::int64_t>(1, std::min({workers, kMostAggregators, numbers}));
    std::set<std::int64_t> out{1, most};
    for (std::int64_t n = 4; n < most; n *= 4) out.insert(n);
    return {out.begin(), out.end()};
  }

  /// By the best way's epochs and rows.
  std::vector<OnHost> on_hosts(const std::vector<Candidate>& all) const {
    if (all.empty()) return {};
    const Size whole = facts_[all.front().way].whole(all.front().epochs.median);
    std::vector<OnHost> out;
    for (const sim::HostProfile& host : question_.profile.hosts) {
      const double compute_s =
          question_.seconds_per_row * whole.computed_rows / host.processors / host.speed;
      const double seconds = host.starts_s + whole.data_bytes / host.bytes_per_s + compute_s;
      out.push_back({host.name, seconds, host.hour * seconds / 3600});
    }
    return out;
  }

  const Question& question_;
  std::vector<const sim::StoreProfile*> channels_;
  std::int64_t memory_mb_ = 0, workers_ = 1, aggregators_ = 1;
  std::vector<ResolvedWay> ways_;
  std::vector<Facts> facts_;  ///< of each way; epochs are 0 if it is impossible
  std::optional<PilotReport> pilots_;
  PilotRows sample_;                 ///< of pilots, for the facts of further ways
  std::vector<std::string> missed_;  ///< see Plan
  SimulatedRun pilot_of_first_;      ///< over the first channel
  mutable std::mutex mutex_;
  mutable std::map<
      std::tuple<std::string, std::int64_t, std::int64_t, std::int64_t, double, double>,
      RoundEstimate>
      rounds_;
};

}  // namespace

Candidate in_circumstances(const Candidate& candidate, const sim::Profile& profile,
                           const Circumstances& circumstances) {
  Candidate out = candidate;
  const bool is_of_pilots = circumstances.epochs != nullptr;
  if (is_of_pilots && !out.is_simulated) {
    // Its spread is that of the epochs, which are given now.
    out.seconds_p10 = out.seconds_p90 = out.seconds;
    out.usd_p10 = out.usd_p90 = out.usd;
  }
  const double passes =
      is_of_pilots ? out.pilot_epochs.*circumstances.epochs / out.pilot_epochs.median : 1;
  const double more_s = (passes * circumstances.compute - 1) * out.compute_s +
                        (passes * circumstances.rounds - 1) * out.rounds_s;
  const double more_usd =
      (passes - 1) * out.epochs.median * out.epoch_usd +
      usd_of_seconds(out, profile.functions, profile.store(out.channel), more_s);
  for (double* const seconds : {&out.seconds, &out.seconds_p10, &out.seconds_p90})
    *seconds += more_s;
  for (double* const usd : {&out.usd, &out.usd_p10, &out.usd_p90}) *usd += more_usd;
  return out;
}

Plan plan(const Question& question) { return Planner(question).run(); }

Candidate estimate_as_it_is(const Question& question) {
  return Planner(question).estimate_as_it_is();
}

}  // namespace lambdaml::plan
