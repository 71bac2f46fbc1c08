#pragma once

#include <memory>
#include <string>

#include "lambdaml/base/options.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/train/cost.h"

namespace lambdaml::train {

/// A job's channel as its trigger uses it, and what that costs.
class JobChannel {
 public:
  /// One GET. Throws when the channel cannot be reached: then there is nothing to clear either.
  JobChannel(const std::string& uri, const std::string& job_id);
  /// After the channel was cleared: leaves the mark that stops workers, if there may be any.
  ~JobChannel();
  JobChannel(const JobChannel&) = delete;

  storage::Storage& store() const { return *store_; }
  Meters& meters() { return meters_; }

  /// For a job that goes on. Workers of its earlier trigger may still be at work: from now on none
  /// of them counts, so none begins to save another checkpoint, and those that are there can be
  /// chosen from. A PUT a worker.
  void take_over(const Options& options) const;
  /// Workers run that the platform does not end: when the job goes they are to be told.
  void stop_workers_at_end(bool stop) { stop_workers_ = stop; }

 private:
  Meters meters_;
  std::shared_ptr<storage::Storage> store_;
  bool stop_workers_ = false;
};

}  // namespace lambdaml::train
