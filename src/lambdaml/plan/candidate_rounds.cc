#include "lambdaml/plan/candidate_rounds.h"

#include <algorithm>
#include <cmath>

namespace lambdaml::plan {
namespace {

Round shape_of(const Candidate& candidate, double message_bytes) {
  return {static_cast<std::uint32_t>(candidate.workers),
          static_cast<std::uint32_t>(candidate.aggregators),
          message_bytes + kHeadBytes * static_cast<double>(candidate.aggregators - 1)};
}

}  // namespace

RoundEstimate CandidateRounds::of(const Candidate& candidate, double message_bytes) const {
  // Small messages take the same time from functions of any memory, and further rounds than those
  // that are drawn are the same for all jobs.
  constexpr double kSmall = 20'000;
  const std::int64_t memory_mb = message_bytes < kSmall ? memory_mb_ : candidate.memory_mb;
  const Round shape = shape_of(candidate, message_bytes);
  const double drawn = rounds_drawn(shape, candidate.rounds);
  const Key key(candidate.channel, candidate.workers, candidate.aggregators, memory_mb,
                message_bytes, drawn);
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = known_.find(key); known != known_.end())
      return known->second.of(candidate.rounds);
  }
  const RoundEstimate out =
      estimate_round(shape, profile_.store(candidate.channel), profile_.functions,
                     static_cast<double>(memory_mb), drawn);
  const std::lock_guard lock(mutex_);
  return known_.emplace(key, out).first->second.of(candidate.rounds);
}

double CandidateRounds::usd(const Candidate& candidate, double message_bytes) const {
  const RoundEstimate each = of(candidate, message_bytes);
  const RoundRequests useful = requests_of(shape_of(candidate, message_bytes));
  const sim::StorePrices& prices = profile_.store(candidate.channel).prices;
  const double chunk = message_bytes / static_cast<double>(candidate.aggregators);
  const auto units = [&](double bytes) { return std::max(1.0, std::ceil(chunk / bytes)); };
  return candidate.rounds *
         (each.puts * (prices.put + prices.put_gb * chunk / 1e9 + prices.put_kb * units(1024)) +
          each.gets * prices.get + (each.gets - useful.gets) * (prices.get_kb + prices.get_4kb) +
          useful.gets * (prices.get_gb * chunk / 1e9 + prices.get_kb * units(1024) +
                         prices.get_4kb * units(4096)) +
          each.removes * prices.remove);
}

}  // namespace lambdaml::plan
