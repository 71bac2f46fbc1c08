#include "lambdaml/plan/candidate_space.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/parallel.h"

namespace lambdaml::plan {
namespace {

/// More aggregators are never better: their requests are what costs.
constexpr std::int64_t kMostAggregators = 64;

/// Each worker has a row at least.
std::vector<std::int64_t> worker_counts(double rows, std::int64_t most_workers) {
  const std::int64_t most =
      std::clamp(static_cast<std::int64_t>(rows), std::int64_t{1}, most_workers);
  std::set<std::int64_t> out{most};
  for (std::int64_t n = 1; n < most; n *= 2) out.insert(n);
  return {out.begin(), out.end()};
}

std::vector<std::int64_t> memories(std::int64_t of_job, const sim::FunctionProfile& functions) {
  std::set<std::int64_t> out{of_job};
  if (functions.host_processors > 0) return {of_job};  // which changes nothing there
  for (const double processors : {0.5, 1.0, 2.0}) {
    const double mb = std::ceil(processors * functions.mb_per_processor);
    if (mb >= functions.least_mb && mb <= functions.most_mb)
      out.insert(static_cast<std::int64_t>(mb));
  }
  return {out.begin(), out.end()};
}

/// A vector has at most as many chunks as numbers.
std::vector<std::int64_t> aggregator_counts(double message_bytes, std::int64_t workers) {
  const auto numbers = static_cast<std::int64_t>((message_bytes - kHeadBytes) / 4);
  const std::int64_t most =
      std::max<std::int64_t>(1, std::min({workers, kMostAggregators, numbers}));
  std::set<std::int64_t> out{1, most};
  for (std::int64_t n = 4; n < most; n *= 4) out.insert(n);
  return {out.begin(), out.end()};
}

/// Candidates that differ in their aggregators only.
struct Group {
  const sim::StoreProfile* store = nullptr;
  Candidate each = {};  ///< before it was estimated
  std::size_t considered = 0;
  std::vector<Candidate> candidates = {};
};

/// More aggregators always need more requests, and from some number on also more time, so that
/// those beyond it, which take long to estimate, are worse in everything.
void estimate_group(const WayFacts& facts, const CandidateEstimator& estimator, Group& group) {
  constexpr double kLonger = 1.02;
  double least_s = std::numeric_limits<double>::infinity();
  const std::vector<std::int64_t> counts =
      group.store->adds ? std::vector<std::int64_t>{1}
                        : aggregator_counts(facts.message_bytes, group.each.workers);
  group.considered = counts.size();
  for (const std::int64_t aggregators : counts) {
    Candidate one = group.each;
    one.aggregators = aggregators;
    estimator.estimate(facts, facts.whole(one.epochs.median), one);
    if (one.rounds_s > kLonger * least_s) return;
    least_s = std::min(least_s, one.rounds_s);
    group.candidates.push_back(std::move(one));
  }
}

/// By one way; none if no number of workers reaches the goal.
std::vector<Group> groups_of(std::size_t way, const Question& question, const JobAsItIs& job,
                             std::span<const WayFacts> facts) {
  std::vector<Group> out;
  for (const std::int64_t workers : worker_counts(facts[0].first.rows, question.most_workers)) {
    const std::optional<Epochs> epochs = facts[way].epochs_by(static_cast<double>(workers));
    if (!epochs) continue;
    for (const sim::StoreProfile* store : job.channels)
      for (const std::int64_t memory_mb : memories(job.memory_mb, question.profile.functions)) {
        Group& group = out.emplace_back();
        group.store = store;
        group.each.channel = store->name;
        group.each.way = way;
        group.each.workers = workers;
        group.each.memory_mb = memory_mb;
        group.each.epochs = group.each.pilot_epochs = *epochs;
      }
  }
  return out;
}

}  // namespace

Considered considered_for(const Question& question, const JobAsItIs& job,
                          std::span<const WayFacts> facts, const CandidateEstimator& estimator) {
  Considered out;
  std::vector<Group> groups;
  for (std::size_t way = 0; way < facts.size(); ++way) {
    std::vector<Group> some = groups_of(way, question, job, facts);
    if (some.empty() && facts[way].is_possible()) out.missed.push_back(facts[way].way.way.text());
    std::ranges::move(some, std::back_inserter(groups));
  }
  if (groups.empty())
    fail(Code::invalid_argument,
         "plan: by a pilot, {} is not reached within the job's epochs: give more --epochs",
         question.job.text("until"));
  parallel_for(groups.size(), processors(), [&](std::size_t i) {
    estimate_group(facts[groups[i].each.way], estimator, groups[i]);
  });
  for (Group& group : groups) {
    out.number += group.considered;
    std::ranges::move(group.candidates, std::back_inserter(out.candidates));
  }
  return out;
}

}  // namespace lambdaml::plan
