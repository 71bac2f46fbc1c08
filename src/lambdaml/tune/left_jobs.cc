#include "lambdaml/tune/left_jobs.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"
#include "lambdaml/view/job_view.h"

namespace lambdaml::tune {

using nlohmann::json;
using nlohmann::ordered_json;

/// Of several segments: jobs that did not end.
struct LeftJobs::Killed {
  double usd = 0, seconds = 0;
  std::size_t jobs = 0;
};

LeftJobs::LeftJobs(const Search& search, Records& records, std::filesystem::path runs)
    : search_(search),
      records_(records),
      runs_(std::move(runs)),
      has_folds_(search.settings.integer("folds") != 0) {}

std::shared_ptr<const ordered_json> LeftJobs::summary_of(const Segment& segment) {
  const std::optional<Buffer> text =
      records_.store().load("trials/" + id_of_trial(search_, segment) + "/summary.json");
  if (!text) return {};
  auto summary = std::make_shared<const ordered_json>(parse_ordered_json(text->text()));
  if (!summary->is_object() || count_at(*summary, "epochs") != segment.epochs) return {};
  // Without its model it could not become the best trial; from its last checkpoint it soon reaches
  // the end again.
  if (!read_file(model_path_in(*summary))) return {};
  return summary;
}

void LeftJobs::count_killed(History& history) {
  Killed sum;
  for (std::size_t index = 0; index < history.restored(); ++index) {
    Segment& segment = history.at(index);
    if (segment.has_ended()) continue;
    // A segment whose job has ended is not repeated: its end adds what it cost.
    if (!has_folds_ && summary_of(segment)) continue;
    if (count(segment, history.segments(), sum)) history.save(index);
  }
  if (sum.jobs > 0)
    log::warning(
        "an earlier tuner was killed, or lost, with {} {} of trials: about ${:.2g} are counted for "
        "{} until the last sign of life, without requests",
        sum.jobs, sum.jobs == 1 ? "job" : "jobs", sum.usd, human_seconds(sum.seconds));
}

/// Returns whether something was added.
bool LeftJobs::count(Segment& segment, const std::vector<Segment>& all, Killed& sum) {
  bool has_more = false;
  for (const JobOfSegment& job : jobs_of(search_, segment)) {
    const json left = status_of(job);
    const std::uint64_t begun_ms = count_at(left, "begun_ms");
    const std::string state = text_at(left, "state");
    // Of one that was stopped in order, or failed, the tuner recorded the end.
    if (begun_ms == 0 || state == "stopped" || state == "failed") continue;
    const json summary = left.value("summary", json::object());
    if (is_of_earlier_segment(summary, all, segment)) continue;
    if (std::exchange(segment.counted[job.id], begun_ms) == begun_ms) continue;
    const bool is_whole = !summary.empty();
    const double cost =
        is_whole ? number_at(summary, "cost_usd") : number_at(left, "cost_so_far_usd");
    const double ran_s = is_whole ? number_at(summary, "wall_s") : number_at(left, "elapsed_s");
    has_more = true;
    if (!std::isfinite(cost) || !std::isfinite(ran_s)) continue;
    segment.cost_usd += cost;
    segment.wall_s += ran_s;
    if (is_whole) continue;
    if (!has_folds_) segment.epoch = std::max(segment.epoch, count_at(left, "metrics_epoch"));
    segment.killed_usd += cost;
    sum.usd += cost;
    sum.seconds += ran_s;
    ++sum.jobs;
  }
  return has_more;
}

/// What is known of a job, an object; empty if it has not begun. The newest epoch is known exactly
/// where its run's folder is.
json LeftJobs::status_of(const JobOfSegment& job) {
  for (const std::string& place :
       {(runs_ / job.folder).string(), records_.trials_uri() + "/" + job.id})
    try {
      json status(view::JobView::open(place).status_of_abandoned(channels_));
      if (status.contains("begun_ms")) return status;
    } catch (const Error&) {
      // It is not there.
    }
  return json::object();
}

void LeftJobs::mark_counted(Segment& segment) {
  if (!has_folds_) return;  // its only job has its end recorded
  for (const JobOfSegment& job : jobs_of(search_, segment))
    if (const std::uint64_t begun_ms = count_at(status_of(job), "begun_ms"))
      segment.counted[job.id] = begun_ms;
}

}  // namespace lambdaml::tune
