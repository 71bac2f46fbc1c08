#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/plan/goal_pilots.h"
#include "lambdaml/plan/simulated_job.h"
#include "lambdaml/plan/ways.h"

namespace lambdaml::plan {

enum class Aim { time, cost, product };

struct Question {
  Options job;  ///< not resolved
  sim::Profile profile;
  std::shared_ptr<const data::Dataset> data = {};  ///< see SimulatedWorld::rows
  /// Rows that stand for the job's `all_rows` in pilots and simulations; null: its own data.
  std::shared_ptr<const data::Dataset> rows = {};
  double all_rows = 0;
  double seconds_per_row = 0;             ///< of one processor of a function
  double staging_s = 0, load_s = 0;       ///< see SimulatedWorld
  double deadline_s = 0, budget_usd = 0;  ///< 0: none
  Aim aim = Aim::product;
  std::vector<Way> ways;              ///< to train; none: as the job says
  PilotSettings pilots;               ///< of those whose epochs to the job's goal are not known
  std::vector<std::string> channels;  ///< stores of the profile; empty: all
  std::int64_t most_workers = 256;
  int simulated = 10;  ///< candidates that are simulated
  int seeds = 3;
  double patience_s = 6;  ///< no simulation begins later; of this machine's time
};

/// One way to run the job.
struct Candidate {
  std::string channel;
  std::int64_t aggregators = 1, workers = 1, memory_mb = 0;
  std::size_t way = 0;  ///< of Plan::ways
  /// Those that all rows took, if one with the same way and workers was simulated; otherwise, where
  /// there were pilots, of their repetitions.
  Epochs epochs = {};
  Epochs pilot_epochs = {};     ///< the same without simulations
  double seconds = 0, usd = 0;  ///< expected; of simulations, the median
  /// Of the simulations; without, by the epochs, and equal if these are certain.
  double seconds_p10 = 0, seconds_p90 = 0;
  double usd_p10 = 0, usd_p90 = 0;
  double servers_usd = 0;  ///< of `usd`: servers by the hour, which no job's bill has
  double estimated_s = 0, estimated_usd = 0;  ///< of `epochs`, without the simulations' times
  double epoch_usd = 0;                       ///< requests and their bytes of an epoch's rounds
  double rounds = 0, requests = 0;
  bool is_simulated = false;
  bool is_on_front = false;  ///< no other is both faster and cheaper
  bool meets_limits = true;
  double start_s = 0, compute_s = 0, rounds_s = 0;  ///< what the estimate is made of
};

/// The same job on one machine by the hour.
struct OnHost {
  std::string name;
  double seconds = 0, usd = 0;
};

/// Which candidate would be the best if something were otherwise.
struct Change {
  std::string when;  ///< "a row took twice as long"
  std::size_t best = 0;
};

/// A way to train, with what follows from the model and the job.
struct ResolvedWay {
  Way way;
  std::string optimizer = {};
  std::int64_t batch_size = 0;
  bool has_batches = true;  ///< each with a step of its own
};

struct Plan {
  std::vector<ResolvedWay> ways;      ///< one at least
  std::optional<PilotReport> pilots;  ///< none were run
  std::vector<std::string> missed;    ///< ways by which no number of workers reached the goal
  std::size_t considered = 0;         ///< with those that another one beats in any case
  std::vector<Candidate> candidates;  ///< the best first
  std::optional<std::size_t> best;    ///< none if no candidate meets the limits
  std::vector<Change> changes;
  std::vector<OnHost> hosts;
};

/// Short simulations (of one and two epochs, by two and four workers) tell how many rounds and
/// bytes the job has by each way to train, and one per channel what it takes beside them. Ways are
/// compared by the epochs that the job's goal takes (goal_pilots.h). The rounds of all candidates
/// are estimated (round_model.h), in several threads; the best ones are then simulated, as far as
/// `question.patience_s` allows; of those that cannot run (invalid_argument, resource_exhausted,
/// deadline_exceeded) none is left, and of those that miss the goal none with the same way and
/// workers. Where nothing costs anything, the fastest is the best. Throws what else simulate()
/// throws, and invalid_argument for patterns whose workers do not wait for each other, for channels
/// that the profile does not have, and if nothing reaches the goal.
Plan plan(const Question& question);

/// What might be otherwise than a plan assumes.
struct Circumstances {
  double compute = 1, rounds = 1;    ///< take so many times as long
  double Epochs::*epochs = nullptr;  ///< the goal takes these of the pilots; null: the median
};

/// The candidate as it would be then; `meets_limits` and `is_on_front` stay as they are.
Candidate in_circumstances(const Candidate& candidate, const sim::Profile& profile,
                           const Circumstances& circumstances);

/// The job as its options say, over the first of the channels, without a simulation of all of it.
/// Throws as plan() does.
Candidate estimate_as_it_is(const Question& question);

}  // namespace lambdaml::plan
