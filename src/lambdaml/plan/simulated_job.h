#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/base/options.h"
#include "lambdaml/data/dataset.h"
#include "lambdaml/sim/world.h"
#include "lambdaml/worker/measure_store.h"

/// Training jobs in virtual time: the real trigger, workers, patterns, optimizers and checkpoints,
/// with the stores, networks and functions of a profile.
namespace lambdaml::plan {

struct SimulatedWorld {
  sim::Profile profile;
  std::string channel;  ///< a store of the profile
  /// Seconds that one processor of a function computes per row.
  double seconds_per_row = 0;
  /// Where functions share a host's processors: seconds of them that the command takes before it
  /// starts workers, and that these take all together before their first steps.
  double staging_s = 0, load_s = 0;
  double byte_scale = 1;  ///< see sim::World
  /// Processor seconds of this machine after which a job is ended, at its next step, with
  /// `cancelled`; 0: never.
  double longest_s = 0;
  /// Instead of the data that the job names; null: those.
  std::shared_ptr<const data::Dataset> rows = {};
  /// Called before the job begins, to add faults or a trace.
  std::function<void(sim::World&)> prepare = {};
};

/// What one worker did, in seconds, over all its invocations.
struct WorkerTimes {
  double start = 0;  ///< from its event's sending to its begin
  double load = 0, compute = 0, upload = 0, wait = 0, download = 0, checkpoint = 0;
  double end = 0;  ///< since the job began
};

/// How a simulated job went.
struct SimulatedRun {
  double seconds = 0;  ///< from the command's start to the summary
  double functions_usd = 0, requests_usd = 0, servers_usd = 0;
  double usd() const { return functions_usd + requests_usd + servers_usd; }
  std::uint64_t rounds = 0, epochs = 0;
  double computed_rows = 0;  ///< of all passes and workers
  double rows = 0;
  double data_bytes = 0;  ///< of the rows, as floats
  /// Of all stores, also those that clean up, after the job has counted its own.
  std::uint64_t puts = 0, gets = 0, lists = 0, removes = 0;
  std::uint64_t requests() const { return puts + gets + lists + removes; }
  /// Requests by kind as the job's summary has them: put, get, list, delete.
  std::map<std::string, std::uint64_t> counted;
  std::uint64_t bytes_sent = 0, bytes_received = 0;
  std::vector<WorkerTimes> workers;
  std::uint64_t fingerprint = 0;  ///< of the schedule: equal for equal seeds
  std::string model;              ///< the model file's bytes
  double train_loss = 0;
  std::string ended_by;                   ///< `epochs`, `until`, … as in its summary
  std::map<std::string, double> metrics;  ///< the numbers of its summary
};

/// The job with the options that it has in a world: its platform, channel and checkpoints are
/// simulated, and it computes in one thread. `job` is not resolved; its `channel` is replaced.
Options in_world(Options job, const SimulatedWorld& world);

/// Random rows that stand for data which cannot be read, of a kind that the job's model takes.
/// Throws invalid_argument for models of images.
std::shared_ptr<const data::Dataset> stand_in_rows(const Options& job, std::uint64_t rows,
                                                   std::uint64_t features);

/// The store of the profile that a job's channel stands for: its name, or the first store of its
/// URI's scheme whose mark, if it has one, is in the URI. Throws invalid_argument.
std::string store_for_channel(const sim::Profile& profile, const std::string& channel);

/// Runs the job with in_world() options once. Prepared data are read from the channel's store, too.
/// Throws what training throws, and invalid_argument for a memory that the profile does not have.
/// Only one thread of a program may simulate at a time.
SimulatedRun simulate(const Options& job, const SimulatedWorld& world, std::uint64_t seed);

/// Measures with the job's own code and data, for at most `seconds` of its steps, what a processor
/// of this machine takes: fills in seconds_per_row, staging_s and load_s. Throws what training
/// throws.
void measure_work(const Options& job, SimulatedWorld& world, double seconds);

using worker::quantile;

}  // namespace lambdaml::plan
