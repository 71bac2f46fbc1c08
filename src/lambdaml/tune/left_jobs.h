#pragma once

#include <filesystem>
#include <memory>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/control/stores.h"
#include "lambdaml/tune/history.h"
#include "lambdaml/tune/jobs_of_segment.h"
#include "lambdaml/tune/records.h"
#include "lambdaml/tune/search.h"

namespace lambdaml::tune {

/// What jobs have left that nobody runs any more, because their tuner was killed before it recorded
/// their end. Used by one thread. Also throws what the store throws.
class LeftJobs {
 public:
  /// The runs of the search's trials go under `runs`. The search and records must outlive this.
  LeftJobs(const Search& search, Records& records, std::filesystem::path runs);

  /// The summary of a segment's only job; null if it did not end, or its model is gone: then it is
  /// run again, which from its last checkpoint does not take long. One request.
  std::shared_ptr<const nlohmann::ordered_json> summary_of(const Segment& segment);

  /// Adds to segments that an earlier tuner began, and records, what their jobs cost and how long
  /// they ran until their last sign of life, without requests, each run of a job once; logs a
  /// warning of it. Not of those with a summary_of(): these are not run again.
  void count_killed(History& history);

  /// After an error, what the segment's jobs cost and took is in it: count_killed() of later tuners
  /// passes these over.
  void mark_counted(Segment& segment);

 private:
  struct Killed;
  bool count(Segment& segment, const std::vector<Segment>& all, Killed& sum);
  nlohmann::json status_of(const JobOfSegment& job);

  const Search& search_;
  Records& records_;
  const std::filesystem::path runs_;
  const bool has_folds_;
  control::Stores channels_;  ///< of the jobs: a server that is gone is waited for once
};

}  // namespace lambdaml::tune
