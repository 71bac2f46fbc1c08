#include "lambdaml/tune/jobs_of_segment.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/json.h"
#include "lambdaml/tune/segment_job.h"

namespace lambdaml::tune {

std::string id_of_trial(const Search& search, const Segment& segment) {
  return fmt::format("{}-{:04}", search.id, segment.trial);
}

std::string folder_of_segment(const Segment& segment) {
  return fmt::format("{:04}-{}", segment.trial, segment.epochs);
}

std::vector<JobOfSegment> jobs_of(const Search& search, const Segment& segment) {
  const std::string id = id_of_trial(search, segment), folder = folder_of_segment(segment);
  const std::int64_t folds = search.settings.integer("folds");
  if (folds == 0) return {{id, folder}};
  std::vector<JobOfSegment> out;
  for (std::int64_t fold = 0; fold < folds; ++fold)
    out.push_back({id_of_fold(id, fold), folder_of_fold(folder, fold)});
  return out;
}

bool is_of_earlier_segment(const nlohmann::json& summary, std::span<const Segment> segments,
                           const Segment& segment) {
  // A job that goes on ends with more epochs; one that has nothing left to do costs next to
  // nothing.
  return !summary.empty() && std::ranges::any_of(segments, [&](const Segment& earlier) {
    return earlier.trial == segment.trial && earlier.epochs < segment.epochs &&
           earlier.has_ended() && count_at(summary, "epochs") <= earlier.epochs;
  });
}

}  // namespace lambdaml::tune
