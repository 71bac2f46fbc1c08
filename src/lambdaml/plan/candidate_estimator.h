#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "lambdaml/plan/candidate.h"
#include "lambdaml/plan/candidate_rounds.h"
#include "lambdaml/plan/way_facts.h"

namespace lambdaml::plan {

/// What candidates take, without running them: starts, loading, computing and rounds as the profile
/// has them, and what a pilot over the same channel took beside these.
class CandidateEstimator {
 public:
  /// `memory_mb` is that of the pilots. The profile must outlive this.
  CandidateEstimator(const sim::Profile& profile, double seconds_per_row, std::int64_t memory_mb)
      : profile_(profile), seconds_per_row_(seconds_per_row), rounds_(profile, memory_mb) {}

  /// Learns of the channel of `candidate`, a pilot_candidate(), what its run took beside the
  /// estimate of it. Once for each channel, before estimate(), and by one thread.
  void learn_overhead(const WayFacts& facts, Candidate candidate, const SimulatedRun& run);

  /// Fills in all of a candidate but `meets_limits` and `is_on_front`, by its channel, aggregators,
  /// workers, memory and epochs, for a job of that size by the way that the facts are of.
  /// Thread-safe. A new kind of rounds takes the time of estimate_round().
  void estimate(const WayFacts& facts, const JobSize& size, Candidate& out) const;

 private:
  /// What passes, and is billed of a function, beside starts, computing and rounds.
  struct Overhead {
    double seconds = 0, billed_s = 0;
    double requests_usd = 0, requests = 0;  ///< of one worker
  };

  void estimate(const WayFacts& facts, const JobSize& size, const Overhead& overhead,
                Candidate& out) const;
  double start_s(double workers, double processes_per_processor) const;
  std::pair<double, double> after(const Candidate& candidate, double epochs) const;

  const sim::Profile& profile_;
  const double seconds_per_row_;
  CandidateRounds rounds_;
  std::map<std::string, Overhead> overheads_;  ///< by channel
};

}  // namespace lambdaml::plan
