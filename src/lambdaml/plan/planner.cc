#include "lambdaml/plan/planner.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <span>
#include <utility>

#include "lambdaml/plan/candidate_estimator.h"
#include "lambdaml/plan/candidate_simulations.h"
#include "lambdaml/plan/candidate_space.h"
#include "lambdaml/plan/estimate.h"
#include "lambdaml/plan/ranking.h"

// A plan is made in steps, each of which has a file:
//
//   question                what is asked, and what the job says of itself
//   goal_pilots             how many epochs each way to train takes until the job's goal
//   way_facts               how many rows, rounds and bytes an epoch by each way has
//   candidate_estimator     what a candidate takes by these, and by the rounds of its workers
//                           (candidate_rounds, round_model)
//   candidate_space         which candidates there are
//   ranking                 which of them are the best
//   candidate_simulations   what the best ones really take
//   what_if                 whether they stay the best if something is otherwise

namespace lambdaml::plan {
namespace {

/// How many epochs ways to train take until the job's goal.
struct GoalPilotsRun {
  std::optional<PilotReport> report;  ///< nullopt: nobody has to know
  /// Of the sample that they trained on: pilots of further ways than the first one take it, too.
  std::shared_ptr<const data::Dataset> rows;
  double all_rows = 0;

  /// nullopt: the way's epochs are known, or need not be.
  std::optional<EpochsToGoal> of(std::size_t number, const Way& way) const {
    if (!report || way.is_known) return {};
    return report->ways[number];
  }
};

/// Of ways whose epochs are not known.
GoalPilotsRun pilots_of_goal(const Question& question, const SimulatedWorld& world) {
  const auto is_unknown = [](const Way& way) { return !way.is_known; };
  if (question.job.text("until").empty() || std::ranges::none_of(question.ways, is_unknown))
    return {};
  const Sample sample = question.data
                            ? Sample{*question.data, static_cast<double>(question.data->rows())}
                            : sample_or_all(question.job);
  PilotSettings settings = question.pilots;
  settings.most_workers = question.most_workers;
  GoalPilotsRun out;
  out.report =
      run_goal_pilots(question.job, question.ways, world, sample.rows, sample.all_rows, settings);
  const Sample some = sample.thinned(settings.rows);
  out.rows = std::make_shared<const data::Dataset>(some.rows);
  out.all_rows = some.all_rows;
  return out;
}

/// Where pilots of the job train, over one of the channels.
PilotPlace place_of(const Question& question, const JobAsItIs& job,
                    const sim::StoreProfile& channel) {
  PilotPlace out{.world = world_of(question, channel.name), .memory_mb = job.memory_mb};
  if (question.rows) out.all_rows = question.all_rows;
  return out;
}

/// Of each way, by pilots over the first of the channels. The first way's pilots are those of each
/// channel, too, so that they train on the question's rows.
std::vector<WayFacts> learn_ways(const Question& question, const JobAsItIs& job,
                                 const GoalPilotsRun& pilots) {
  const std::vector<Way> ways = question.ways.empty() ? std::vector<Way>(1) : question.ways;
  PilotPlace place = place_of(question, job, *job.channels.front());
  std::vector<WayFacts> out;
  for (std::size_t number = 0; number < ways.size(); ++number) {
    const Way& way = ways[number];
    const std::optional<EpochsToGoal> to_goal = pilots.of(number, way);
    if (number == 1 && pilots.rows) {
      place.world.rows = pilots.rows;
      place.all_rows = pilots.all_rows;
    }
    const bool is_impossible = pilots.report && !way.is_known && !to_goal;
    out.push_back(is_impossible ? WayFacts{.way = {.way = way}}
                                : learn_way(question.job, way, to_goal, place));
  }
  return out;
}

/// Learns what some channels take beside starts, computing and rounds; the first way's pilot has
/// run over the first channel of all.
void learn_overheads(const Question& question, const JobAsItIs& job, const WayFacts& facts,
                     std::span<const sim::StoreProfile* const> channels,
                     CandidateEstimator& estimator) {
  for (const sim::StoreProfile* channel : channels) {
    const PilotPlace place = place_of(question, job, *channel);
    estimator.learn_overhead(
        facts, pilot_candidate(place),
        channel == job.channels.front() ? facts.pilot_run : run_pilot(facts, place));
  }
}

/// By the best way's epochs and rows.
std::vector<OnHost> on_hosts(const Question& question, const JobSize& size) {
  std::vector<OnHost> out;
  for (const sim::HostProfile& host : question.profile.hosts) {
    const double compute_s =
        question.seconds_per_row * size.computed_rows / host.processors / host.speed;
    const double seconds = host.starts_s + size.data_bytes / host.bytes_per_s + compute_s;
    out.push_back({host.name, seconds, host.hour * seconds / 3600});
  }
  return out;
}

}  // namespace

Plan plan(const Question& question) {
  const JobAsItIs job = job_as_it_is(question);
  GoalPilotsRun pilots = pilots_of_goal(question, world_of(question, job.channels.front()->name));
  const std::vector<WayFacts> facts = learn_ways(question, job, pilots);
  CandidateEstimator estimator(question.profile, question.seconds_per_row, job.memory_mb);
  learn_overheads(question, job, facts[0], job.channels, estimator);
  Considered considered = considered_for(question, job, facts, estimator);
  const Ranking ranking(question);

  Plan out;
  out.pilots = std::move(pilots.report);
  for (const WayFacts& of_way : facts) out.ways.push_back(of_way.way);
  out.considered = considered.number;
  out.candidates = std::move(considered.candidates);
  out.missed = std::move(considered.missed);
  std::ranges::move(simulate_best(question, facts, estimator, ranking, out.candidates),
                    std::back_inserter(out.missed));
  mark_front(out.candidates);
  if (!out.candidates.empty() && out.candidates.front().meets_limits) {
    out.best = 0;
    out.changes = changes_of(out.candidates, question.profile, ranking);
  }
  if (!out.candidates.empty()) {
    const Candidate& best = out.candidates.front();
    out.hosts = on_hosts(question, facts[best.way].whole(best.epochs.median));
  }
  return out;
}

Candidate estimate_as_it_is(const Question& question) {
  const JobAsItIs job = job_as_it_is(question);
  const WayFacts facts = learn_ways(question, job, {}).front();
  CandidateEstimator estimator(question.profile, question.seconds_per_row, job.memory_mb);
  learn_overheads(question, job, facts, std::span(job.channels).first(1), estimator);
  Candidate out;
  out.channel = job.channels.front()->name;
  out.workers = job.workers;
  out.memory_mb = job.memory_mb;
  out.aggregators = std::min(job.aggregators, job.workers);
  out.epochs = out.pilot_epochs = {facts.epochs, facts.epochs, facts.epochs};
  estimator.estimate(facts, facts.whole(facts.epochs), out);
  Ranking(question).judge(out);
  return out;
}

}  // namespace lambdaml::plan
