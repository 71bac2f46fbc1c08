#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <tuple>

#include "lambdaml/plan/candidate.h"
#include "lambdaml/plan/round_model.h"

namespace lambdaml::plan {

inline constexpr double kHeadBytes = 64;  ///< of a message

/// What the rounds of candidates take by the model of rounds (round_model.h), which is asked once
/// for candidates whose rounds are the same. Thread-safe.
class CandidateRounds {
 public:
  /// `memory_mb` stands for any memory where messages are small. The profile must outlive this.
  CandidateRounds(const sim::Profile& profile, std::int64_t memory_mb)
      : profile_(profile), memory_mb_(memory_mb) {}

  /// Each of the candidate's `rounds`, in which a worker's message is so long. Rounds that are
  /// not known yet take the time of estimate_round().
  RoundEstimate of(const Candidate& candidate, double message_bytes) const;

  /// All of them: their requests as they were estimated, and the price of their bytes.
  double usd(const Candidate& candidate, double message_bytes) const;

 private:
  /// Channel, workers, aggregators, memory, bytes of a message, and the rounds that are drawn.
  using Key = std::tuple<std::string, std::int64_t, std::int64_t, std::int64_t, double, double>;

  const sim::Profile& profile_;
  const std::int64_t memory_mb_;
  mutable std::mutex mutex_;
  mutable std::map<Key, RoundEstimate> known_;
};

}  // namespace lambdaml::plan
