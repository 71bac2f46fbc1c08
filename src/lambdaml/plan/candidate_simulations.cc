#include "lambdaml/plan/candidate_simulations.h"

#include <algorithm>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/parallel.h"

namespace lambdaml::plan {
namespace {

/// Simulations of more rounds of workers take longer than a user waits.
constexpr double kMostSimulated = 50'000;

/// What was estimated, with the epochs that all rows took.
void estimate_again(const WayFacts& facts, const CandidateEstimator& estimator, double epochs,
                    Candidate& out) {
  out.epochs = {epochs, epochs, epochs};
  estimator.estimate(facts, facts.whole(epochs), out);
}

/// Simulates one; false if it missed the goal. All seeds train the same model.
bool refine(const Question& question, const WayFacts& facts, const CandidateEstimator& estimator,
            Candidate& candidate) {
  std::vector<double> seconds, usd, servers_usd;
  const SimulatedWorld world = world_of(question, candidate.channel);
  SimulatedRun last;
  for (int seed = 1; seed <= question.seeds; ++seed) {
    last = simulate_candidate(facts.job, candidate, world, static_cast<std::uint64_t>(seed));
    if (facts.to_goal && last.ended_by != "until") return false;
    seconds.push_back(last.seconds);
    usd.push_back(last.usd());
    servers_usd.push_back(last.servers_usd);
  }
  estimate_again(facts, estimator, std::max(1.0, static_cast<double>(last.epochs)), candidate);
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
  return true;
}

/// Candidates that train the same model as a simulated one take as many epochs.
void share_epochs(const WayFacts& facts, const CandidateEstimator& estimator,
                  const Candidate& simulated, std::vector<Candidate>& all) {
  const double epochs = simulated.epochs.median;
  std::vector<Candidate*> others;
  for (Candidate& one : all)
    if (!one.is_simulated && train_the_same(one, simulated) &&
        (one.epochs.least != epochs || one.epochs.most != epochs))
      others.push_back(&one);
  parallel_for(others.size(), processors(),
               [&](std::size_t i) { estimate_again(facts, estimator, epochs, *others[i]); });
}

/// Candidates that train the same model as one that missed the goal miss it, too. Returns whether
/// none is left of its way.
bool drop_missed(const std::string& goal, const Candidate& candidate, std::vector<Candidate>& all) {
  const Candidate missed = candidate;  // it is one of them
  std::erase_if(all, [&](const Candidate& one) { return train_the_same(one, missed); });
  if (all.empty())
    fail(Code::invalid_argument,
         "plan: of all rows, no way reaches {} within the job's epochs: give more --epochs", goal);
  return std::ranges::none_of(all, [&](const Candidate& one) { return one.way == missed.way; });
}

/// Whether a candidate cannot run so: it lacks memory or time, or has more workers than rows.
/// Others may.
bool cannot_run(const Error& error) {
  return error.code() == Code::resource_exhausted || error.code() == Code::deadline_exceeded ||
         error.code() == Code::invalid_argument;
}

}  // namespace

std::vector<std::string> simulate_best(const Question& question, std::span<const WayFacts> facts,
                                       const CandidateEstimator& estimator, const Ranking& ranking,
                                       std::vector<Candidate>& all) {
  const Stopwatch clock;
  std::vector<std::string> missed;
  ranking.sort(all);
  for (int left = question.simulated; left > 0 && clock.seconds() < question.patience_s; --left) {
    const auto next = std::ranges::find_if(all, [](const Candidate& one) {
      return !one.is_simulated && static_cast<double>(one.workers) * one.rounds < kMostSimulated;
    });
    if (next == all.end()) break;
    const WayFacts& of_way = facts[next->way];
    bool is_reached = false;
    try {
      is_reached = refine(question, of_way, estimator, *next);
    } catch (const Error& error) {
      if (!cannot_run(error) || all.size() == 1) throw;
      all.erase(next);
      continue;
    }
    if (is_reached)
      share_epochs(of_way, estimator, *next, all);
    else if (drop_missed(question.job.text("until"), *next, all))
      missed.push_back(of_way.way.way.text());
    ranking.sort(all);
  }
  return missed;
}

}  // namespace lambdaml::plan
