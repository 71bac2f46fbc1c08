#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/cost/cost.h"

namespace lambdaml::report {

/// What workers.jsonl says: the reports of the workers with their timelines, on one clock.
/// Machines' clocks differ, so the times of a worker are shifted, but only as far as they
/// contradict the order of events: it cannot have received its event before that was sent, and no
/// round of a bulk-synchronous job ends for a worker before every other has begun it
/// (docs/how-to/report.md).
class Timelines {
 public:
  /// Lines that are no report are counted and skipped. `rounds_wait`: every merge waits for all
  /// workers.
  Timelines(std::string_view text, bool rounds_wait);

  bool empty() const { return workers_.empty(); }
  std::uint64_t damaged_lines() const { return damaged_lines_; }
  /// The version of the program that ran the job; empty if that is unknown.
  const std::string& version() const { return version_; }
  /// The mean time of the functions, as it is billed; 0 if that is unknown.
  double mean_run_s() const;
  /// Requests and bytes of the workers and of the trigger.
  cost::UsageByStore usage_of_workers() const;
  const cost::UsageByStore& usage_of_trigger() const { return trigger_usage_; }

  /// A list with an object per worker: its statistics without usage.
  nlohmann::ordered_json workers_json() const;
  /// What is drawn: per worker its rounds in columns, at most about `most_entries` of all workers;
  /// empty if there are none.
  nlohmann::ordered_json timeline_json(std::size_t most_entries) const;
  /// Per round the median and the slowest worker's time, and the parts of the mean; thinned to
  /// `most_rows`, and a histogram of all.
  nlohmann::ordered_json rounds_json(std::size_t most_rows) const;
  /// All of it in the Chrome trace event format, which Perfetto and chrome://tracing open: a thread
  /// per worker, complete events for what it did, instant events for failed attempts.
  std::string trace(const std::string& name) const;

 private:
  struct Entry {
    std::uint64_t first_round = 0, rounds = 0;
    std::int64_t begin_us = 0;
    std::int64_t parts_us[5] = {};  ///< compute, send, wait, receive, checkpoint

    std::int64_t busy_us() const;
  };
  struct Invocation {
    std::int64_t began_us = 0, load_us = 0, trained_us = 0, ended_us = 0;
  };
  struct Worker {
    std::uint64_t worker = 0;
    std::map<std::string, double> stats;
    cost::UsageByStore usage;
    std::int64_t origin_us = 0;  ///< after the event was sent, on the worker's clock
    std::int64_t shift_us = 0;   ///< to be added
    std::vector<Entry> entries;
    std::vector<Invocation> invocations;

    std::int64_t at_us(std::int64_t us) const { return origin_us + shift_us + us; }
  };
  struct Failure {
    std::uint64_t worker = 0;
    std::int64_t at_us = 0;
    std::string error;
    bool again = false;
  };

  void add_trigger(const nlohmann::json& trigger);
  void add_worker(const nlohmann::json& report);
  static void add_timeline(const nlohmann::json& timeline, Worker& worker);
  void align(bool rounds_wait);
  static void align(const Worker& reference, Worker& worker);

  std::vector<Worker> workers_;
  std::vector<Failure> failures_;
  cost::UsageByStore trigger_usage_;
  std::string version_;
  std::int64_t sent_ms_ = 0, ended_ms_ = 0;  ///< by the trigger's clock
  std::uint64_t damaged_lines_ = 0;
};

}  // namespace lambdaml::report
