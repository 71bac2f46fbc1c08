#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/data/source.h"

namespace lambdaml::job {

/// `ended_by` of a job that paused at the option of that name: resuming continues it.
inline constexpr const char* kPaused = "stop_after";

/// Everything that a training worker needs to know, in one JSON object. Facts that all workers must
/// agree on (rows of every part, features, labels) are determined here, so that they need no round
/// of messages.
struct TrainEvent {
  std::string job_id;
  std::uint32_t worker = 0;
  Options options;       ///< resolved
  data::Manifest data;   ///< one part per worker
  std::string data_uri;  ///< of a prepared set; empty: staged in the channel under keys::kData
  std::optional<data::Manifest> test;  ///< at most one part per worker
  std::string test_uri;  ///< of a prepared set; empty: staged in the channel under keys::kTest
  /// The expected content of this worker's part of the data, of its part of the test set, and of
  /// the file that defines the model. nullopt if unknown: data prepared by an old version.
  std::optional<data::Content> part;
  std::optional<data::Content> test_part;
  std::optional<data::Content> definition;
  std::optional<data::Content> init;  ///< of the model file to start from; nullopt: there is none
  bool resume = false;                ///< start from checkpoints
  std::optional<std::uint64_t> resume_round;  ///< the round of the checkpoints to start from;
                                              ///< nullopt: each worker's own newest (async)
  /// Which start of the job sent it: the value of the job's key, which a resumed job replaces, so
  /// that late deliveries of earlier events find it changed. Empty in events of old versions.
  std::string start;
  std::int64_t sent_ms = 0;  ///< milliseconds since 1970 when it was sent

  std::uint32_t workers() const { return static_cast<std::uint32_t>(options.integer("workers")); }
};

/// Everything that a measuring worker needs to know.
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

/// Everything that a worker needs to know to measure its channel together with others.
struct CalibrateEvent {
  std::string job_id;
  std::uint32_t worker = 0;
  std::uint32_t workers = 1;
  std::string channel;
  bool remote = false;              ///< the platform does not report how events end
  double seconds = 5;               ///< about how long to measure
  std::uint64_t most_requests = 0;  ///< about how many to make, few of them large; 0: no limit
  double patience_s = 60;           ///< for the others to start
  std::int64_t sent_ms = 0;         ///< milliseconds since 1970 when it was sent
};

/// Everything that a predicting worker needs to know. It predicts the parts w, w + workers,
/// w + 2 · workers … of the data.
struct PredictEvent {
  std::string job_id;
  std::uint32_t worker = 0;
  std::uint32_t workers = 1;
  std::string channel;
  bool remote = false;  ///< the platform does not report how events end
  data::Manifest data;
  std::string data_uri;  ///< of a prepared set; empty: staged in the channel under keys::kData
  /// The expected content of its parts, in their order; empty if unknown: prepared by an old
  /// version.
  std::vector<data::Content> parts;
  data::Content model;  ///< of the model file, which is staged in the channel
  std::string to;       ///< the store of the results
  std::string out_format;
  bool probabilities = false;
  bool scores = false;
  bool ignore_labels = false;
  std::int64_t sent_ms = 0;  ///< milliseconds since 1970 when it was sent
};

/// Everything that a worker which prepares data needs to know: with the others it reads the blocks
/// of a plan, which is staged in the channel, and makes the parts BlockParts::of_process() of them.
struct PrepareEvent {
  std::string job_id;
  std::uint32_t worker = 0;
  std::uint32_t workers = 1;
  std::string channel;
  bool remote = false;  ///< the platform does not report how events end
  data::Content plan;   ///< of the plan's text
  std::string to;       ///< the store of the parts; empty: the channel of the job `for_job`
  std::string for_job;
  std::string prefix;  ///< of the parts' keys there
  std::string as;      ///< format of the parts
  double patience_s = 300;
  std::int64_t sent_ms = 0;  ///< milliseconds since 1970 when it was sent
};

std::string to_json(const TrainEvent& event);
std::string to_json(const BenchCommEvent& event);
std::string to_json(const CalibrateEvent& event);
std::string to_json(const PredictEvent& event);
std::string to_json(const PrepareEvent& event);

/// An event's kind: its "task", or `train` if it has none. Throws invalid_argument for an unknown
/// task or if the text is not a JSON object.
std::string task_of(std::string_view json);
/// Throw invalid_argument naming the key.
TrainEvent train_event_from_json(std::string_view json);
BenchCommEvent bench_comm_event_from_json(std::string_view json);
CalibrateEvent calibrate_event_from_json(std::string_view json);
PredictEvent predict_event_from_json(std::string_view json);
PrepareEvent prepare_event_from_json(std::string_view json);

}  // namespace lambdaml::job
