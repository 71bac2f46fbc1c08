#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lambdaml/plan/goal_pilots.h"
#include "lambdaml/plan/simulated_job.h"
#include "lambdaml/plan/ways.h"

/// What plan() is asked, and what the question's job says of itself.
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

/// What `train` would choose where the question's job leaves it open, and the stores to consider.
struct JobAsItIs {
  std::vector<const sim::StoreProfile*> channels;  ///< of the question's profile; one at least
  /// Over the first of the channels.
  std::int64_t workers = 1, memory_mb = 0, aggregators = 1;
};

/// The result has pointers into `question`. Throws invalid_argument for patterns whose workers do
/// not wait for each other, for channels that the profile does not have, and for options that do
/// not fit together.
JobAsItIs job_as_it_is(const Question& question);

/// The question's world, with one of the profile's stores as its channel.
SimulatedWorld world_of(const Question& question, const std::string& channel);

}  // namespace lambdaml::plan
