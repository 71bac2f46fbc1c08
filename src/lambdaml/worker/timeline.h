#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/base/deadline.h"
#include "lambdaml/storage/times.h"

namespace lambdaml::worker {

/// When a worker computed, sent, waited, received and saved checkpoints, round by round, over all
/// its invocations: part of its report, for `lambdaml report`. docs/how-to/report.md describes the
/// format. A record costs two reads of the clock and no request. Long jobs are thinned: an entry
/// then stands for several consecutive rounds, so that the whole stays below 200 KB. Used by one
/// thread.
class Timeline {
 public:
  /// The times of the worker's channel. `sent_ms` is the trigger's clock when it sent the event,
  /// `arrived_ms` this machine's when it arrived, since the epoch.
  Timeline(std::shared_ptr<const storage::Times> times, std::int64_t sent_ms,
           std::int64_t arrived_ms);

  /// Call first if another invocation of this worker has left its timeline; it is ignored unless it
  /// is one.
  void continue_from(const nlohmann::json& earlier);
  /// The data were loaded, from `seconds` ago until now.
  void loaded(double seconds);
  /// A merge ended now and took `seconds`.
  void merged(double seconds);
  /// A checkpoint was saved, from `seconds` ago until now.
  void saved(double seconds);

  /// Ends with this moment.
  nlohmann::json to_json() const;

 private:
  struct Entry {
    std::uint64_t rounds = 0;
    std::int64_t begin_us = 0;
    double compute_s = 0, send_s = 0, wait_s = 0, receive_s = 0, checkpoint_s = 0;

    Entry& operator+=(const Entry& next);
  };
  struct Invocation {
    std::int64_t began_us = 0, load_us = 0, trained_us = 0, ended_us = 0;
  };

  std::int64_t now_us() const;
  void add(const Entry& entry);
  void thin();

  std::shared_ptr<const storage::Times> times_;
  std::int64_t sent_ms_, origin_ms_;
  std::int64_t arrived_us_ = 0;  ///< since the origin
  Stopwatch clock_;              ///< since the arrival
  std::int64_t last_us_ = 0;     ///< the end of the last entry
  storage::Times::Seconds last_;
  double checkpoint_s_ = 0;        ///< since then
  std::uint64_t most_rounds_ = 1;  ///< per entry
  std::vector<Entry> entries_;
  std::vector<Invocation> invocations_;  ///< the last one is this
};

}  // namespace lambdaml::worker
