#pragma once

#include <span>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/tune/search.h"
#include "lambdaml/tune/segment.h"

/// What the jobs of a segment are called. No function here makes a request.
namespace lambdaml::tune {

/// SEARCH-ID-TRIAL: segments of one trial have the same jobs.
std::string id_of_trial(const Search& search, const Segment& segment);
/// TRIAL-EPOCHS: each segment has a folder of its own among the runs of the search's trials.
std::string folder_of_segment(const Segment& segment);

/// The jobs of a segment: one, or one for each fold, in the order in which they run.
struct JobOfSegment {
  std::string id;  ///< that of the trial, with three digits more of the fold, if there are folds
  std::string folder;  ///< of the run, among those of the search's trials: its name alone
};
std::vector<JobOfSegment> jobs_of(const Search& search, const Segment& segment);

/// Whether the summary that is found where a job of the segment keeps its own, {} if there is none,
/// is that of an earlier segment of the same trial: then this job has not begun.
bool is_of_earlier_segment(const nlohmann::json& summary, std::span<const Segment> segments,
                           const Segment& segment);

}  // namespace lambdaml::tune
