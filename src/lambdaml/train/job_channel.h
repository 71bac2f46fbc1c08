#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lambdaml/storage/storage.h"
#include "lambdaml/train/cost.h"

namespace lambdaml::train {

/// A job's channel as its trigger uses it, and what that costs.
class JobChannel {
 public:
  enum class Stop {
    patient,  ///< waits some seconds for the workers to say that they go, and leaves nothing
    at_once,  ///< for who has no time, or goes on with the job right away: who takes a job over
              ///< shuts its earlier workers out anyway
  };
  /// One GET. Throws when the channel cannot be reached, or is none of ours: then there is nothing
  /// to clear either.
  JobChannel(const std::string& uri, const std::string& job_id, bool keep, Stop stop);
  /// Removes what the job wrote, unless it is kept or left; what stops workers that may still be at
  /// work stays.
  ~JobChannel();
  JobChannel(const JobChannel&) = delete;

  storage::Storage& store() const { return *store_; }
  Meters& meters() { return meters_; }

  /// For a job that goes on. Workers of its earlier trigger may still be at work: from now on none
  /// of them counts, so none begins to save another checkpoint, and those that are there can be
  /// chosen from. A PUT a worker.
  void take_over(std::uint32_t workers) const;
  /// Stops workers that the platform does not end; `at_work` are those whose end is not known. A
  /// PUT a worker, a GET for each of them, and if it is patient a wait for those that have begun.
  /// Never throws.
  void stop(std::uint32_t workers, const std::vector<std::uint32_t>& at_work) noexcept;
  /// Somebody else has taken the job over: the channel is his.
  void leave() { keep_ = true; }

 private:
  /// The workers whose key is not there, or does not come in that time.
  std::vector<std::uint32_t> without(const std::vector<std::uint32_t>& workers,
                                     std::string (*key_of)(std::uint32_t), double patience_s) const;

  Meters meters_;
  std::shared_ptr<storage::Storage> store_;
  bool keep_;
  Stop stop_;
  std::vector<std::string> stopped_;  ///< claims of workers that may not have seen them
};

/// Tells the trigger of a job and all its workers to stop, in its channel. A PUT, and one a worker.
void stop_workers(storage::Storage& channel, std::uint32_t workers);

}  // namespace lambdaml::train
