#pragma once

#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include <sys/types.h>

#include "lambdaml/dashboard/places.h"

namespace lambdaml::dashboard {

/// Processes that go on with jobs and searches, each in a session of its own, so that they outlive
/// this one. What they print goes to resume.log in the run's folder. Thread-safe.
class Resumed {
 public:
  /// `program`: the path of lambdaml.
  explicit Resumed(std::string program) : program_(std::move(program)) {}

  /// Starts one. Throws invalid_argument for a place that is no folder here, already_exists if one
  /// that was started here still runs, and what the system throws.
  void start(const Place& place, const std::string& id);
  struct End {
    std::string id;
    std::string error;  ///< the last line that it printed; empty if it succeeded
  };
  /// Those that have ended since the last call.
  std::vector<End> ended();

 private:
  struct Process {
    pid_t pid = 0;
    std::filesystem::path log;
  };
  const std::string program_;
  std::mutex mutex_;
  std::map<std::string, Process> processes_;  ///< by id
};

}  // namespace lambdaml::dashboard
