#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "lambdaml/plan/candidate.h"
#include "lambdaml/plan/goal_pilots.h"
#include "lambdaml/plan/simulated_job.h"
#include "lambdaml/plan/ways.h"

/// How large a job is by one way to train, as short simulations of it show.
///
/// Such a pilot runs one epoch, by two workers and by four, and all epochs by two workers, or two
/// epochs where all take too long: rounds and computed rows go on as they begin. From the two
/// numbers of workers it follows whether the rounds of an epoch are steps, which become fewer with
/// more workers.
namespace lambdaml::plan {

/// The workers of a pilot.
inline constexpr std::int64_t kPilotWorkers = 2;

/// A way to train, with what follows from the model and the job.
struct ResolvedWay {
  Way way;
  std::string optimizer = {};
  std::int64_t batch_size = 0;
  bool has_batches = true;  ///< each with a step of its own
};

/// How large a job is: a pilot, or all of it.
struct JobSize {
  double epochs = 1;
  double rows = 0, data_bytes = 0;
  double computed_rows = 0;  ///< of all passes
  double rounds = 0;         ///< by two workers, with the steps of the pilot
  double batch = 1;          ///< rows
  double trained = 1;        ///< share of the rows that is not held out

  /// Of the worker with the most rows.
  double steps_of_epoch(double workers) const;
};

/// What is known of a way. Of one by which the model cannot be trained only `way.way` is set.
struct WayFacts {
  ResolvedWay way;
  Options job = {};  ///< not resolved
  std::string epochs_option = {};
  std::optional<EpochsToGoal> to_goal = {};  ///< as pilots of the goal show; nullopt: without these
  double epochs = 0;                         ///< of the job, at most; 0: it cannot be trained so
  JobSize pilot = {};                        ///< one epoch
  JobSize first = {};                        ///< the same of all rows
  /// Of each further epoch of all rows.
  double later_rounds = 0, later_rows = 0;
  /// Steps of an epoch follow from the rows of a batch, and the rest of its rounds is the same for
  /// any number of workers; or no round of it is a step.
  bool has_steps = false;
  double message_bytes = 0;
  SimulatedRun pilot_run = {};  ///< over the first channel

  bool is_possible() const { return epochs > 0; }
  /// Whether its epochs are those that the job's goal takes.
  bool is_for_goal() const { return to_goal || way.way.is_known; }
  /// nullopt: that many workers do not reach the goal within `epochs`, or it is not possible.
  std::optional<Epochs> epochs_by(double workers) const;
  /// Of all rows.
  JobSize whole(double epochs) const;
  double rounds_of(const JobSize& size, double workers) const;
};

/// Where pilots run.
struct PilotPlace {
  SimulatedWorld world;  ///< with the rows that they train on
  /// Of the job, if `world.rows` are some that stand for them; nullopt: these are all.
  std::optional<double> all_rows = {};
  std::int64_t memory_mb = 0;
};

/// Pilots of a job, not resolved, by one way: three short simulations at most. `to_goal` is what
/// pilots of the goal have shown, if there were any. Throws what simulate() throws, and
/// invalid_argument for a way that does not fit the job.
WayFacts learn_way(const Options& job, const Way& way, const std::optional<EpochsToGoal>& to_goal,
                   const PilotPlace& place);

/// One that pilots run, before it was estimated.
Candidate pilot_candidate(const PilotPlace& place, std::int64_t workers = kPilotWorkers);

/// Runs one epoch of a pilot_candidate(), as WayFacts::pilot_run did, elsewhere.
SimulatedRun run_pilot(const WayFacts& facts, const PilotPlace& place);

}  // namespace lambdaml::plan
