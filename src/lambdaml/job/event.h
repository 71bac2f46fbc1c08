#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lambdaml/base/options.h"
#include "lambdaml/data/source.h"

namespace lambdaml::job {

/// `ended_by` of a job that paused at its option of that name: it goes on when it is resumed.
inline constexpr const char* kPaused = "stop_after";

/// What a training worker is told: everything, in one JSON object. Facts that all workers must
/// agree on (rows of every part, features, labels) are settled here, so that they need no round for
/// it.
struct TrainEvent {
  std::string job_id;
  std::uint32_t worker = 0;
  Options options;       ///< resolved
  data::Manifest data;   ///< one part per worker
  std::string data_uri;  ///< of a prepared set; empty: staged in the channel under keys::kData
  std::optional<data::Manifest> test;  ///< at most one part per worker
  std::string test_uri;  ///< of a prepared set; empty: staged in the channel under keys::kTest
  /// What this worker is to find: its part of the data, that of the test set, and the file that the
  /// model is made of. Absent where nobody knows: data that an old version prepared.
  std::optional<data::Content> part;
  std::optional<data::Content> test_part;
  std::optional<data::Content> definition;
  bool resume = false;                        ///< start from checkpoints
  std::optional<std::uint64_t> resume_round;  ///< the round of the checkpoints to start from;
                                              ///< absent: each worker's own newest (async)
  std::int64_t sent_ms = 0;                   ///< milliseconds since 1970 when it was sent

  std::uint32_t workers() const { return static_cast<std::uint32_t>(options.integer("workers")); }
};

/// What a measuring worker is told.
struct BenchCommEvent {
  std::string job_id;
  std::uint32_t worker = 0;
  std::uint32_t workers = 1;
  std::string channel;
  std::string sync_mode;
  std::uint64_t values = 0;  ///< floats of the vector
  std::uint64_t rounds = 0;
  double patience_s = 60;
};

std::string to_json(const TrainEvent& event);
std::string to_json(const BenchCommEvent& event);

/// Which kind an event is: its "task", `train` when it has none. Throws invalid_argument for what
/// is no JSON object or an unknown task.
std::string task_of(std::string_view json);
/// Throw invalid_argument naming the key.
TrainEvent train_event_from_json(std::string_view json);
BenchCommEvent bench_comm_event_from_json(std::string_view json);

}  // namespace lambdaml::job
