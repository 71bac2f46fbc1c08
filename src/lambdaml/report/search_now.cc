#include "lambdaml/report/search_now.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/model/reporting.h"
#include "lambdaml/storage/registry.h"
#include "lambdaml/tune/folds.h"
#include "lambdaml/tune/jobs_of_segment.h"
#include "lambdaml/tune/orders.h"
#include "lambdaml/tune/report.h"
#include "lambdaml/tune/search_clock.h"
#include "lambdaml/tune/search_folder.h"
#include "lambdaml/view/job_view.h"

namespace lambdaml::report {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

/// Whether another process holds the lock of that file.
bool is_locked(const fs::path& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return file && ::flock(file.get(), LOCK_SH | LOCK_NB) != 0;
}

/// The folder of a search on this machine; nullopt for records alone.
std::optional<fs::path> folder_of(const std::string& place) {
  if (!tune::is_search_folder(place)) return {};
  return storage::local_file(Uri::parse(place));
}

ordered_json done(const ordered_json& summary, const std::string& place) {
  if (!summary.is_object())
    fail(Code::data_corrupt, "search {}: its summary.json is damaged", place);
  ordered_json now{{"search_id", ""}, {"state", "done"}};
  now.update(summary);
  return now;
}

std::string state_of(const std::optional<fs::path>& folder, tune::Records& records) {
  if (folder ? is_locked(*folder / "search.json") : tune::is_running(records))
    return folder ? "running" : "not ended";
  return tune::is_stopped(records) ? "stopped" : "interrupted";
}

/// Whether nothing runs: its command was stopped, or has died.
bool is_left(const ordered_json& now) {
  const std::string state = text_at(now, "state");
  return state == "stopped" || state == "interrupted";
}

/// What the jobs of a trial in progress have done since its last segment ended.
class Progress {
 public:
  Progress(const tune::Search& search, tune::Records& records, std::optional<fs::path> folder,
           std::span<const tune::Segment> segments)
      : search_(search), records_(records), folder_(std::move(folder)), segments_(segments) {
    for (const model::ReportedMetric& metric : model::epoch_metrics())
      names_.push_back(metric.name);
  }

  /// Adds those of a segment in progress to its trial. What cannot be read adds nothing.
  void add_to(tune::TrialView& trial, const tune::Segment& segment) {
    tune::TrialView with = trial;
    try {
      add_jobs(segment, with);
    } catch (const Error&) {
      return;
    }
    trial = std::move(with);
  }

  /// Epochs whose time and dollars nothing tells any more: of jobs that were killed and go on.
  std::uint64_t untold_epochs() const { return untold_epochs_; }

 private:
  void add_jobs(const tune::Segment& segment, tune::TrialView& trial) {
    const std::vector<tune::JobOfSegment> jobs = tune::jobs_of(search_, segment);
    if (jobs.size() == 1) {
      if (const std::optional<json> status = status_of(jobs[0], segment))
        add_job(*status, segment, 1, trial);
      return;
    }
    // One after another.
    const std::uint64_t before = trial.epoch;
    std::uint64_t done = 0;
    std::vector<ordered_json> ended;
    for (const tune::JobOfSegment& job : jobs) {
      const std::optional<json> status = status_of(job, segment);
      if (!status) break;
      trial.epoch = 0;
      add_job(*status, segment, jobs.size(), trial);
      done += trial.epoch;
      if (status->contains("summary")) ended.emplace_back((*status)["summary"]);
    }
    trial.epoch = std::max(before, done / jobs.size());
    if (!ended.empty()) add_folds(ended, trial);
  }

  /// The trial's metrics are the means of the folds that are done; the one that runs tells its own
  /// until then.
  void add_folds(std::span<const ordered_json> ended, tune::TrialView& trial) const {
    ordered_json summary = *trial.summary;
    const ordered_json mean = tune::mean_of_folds(ended);
    for (const std::string& name : names_)
      if (mean["fold_values"].contains(name)) summary[name] = mean[name];
    summary["fold_values"] = mean["fold_values"];
    const double value = tune::number_in(summary, search_.settings.text("metric"));
    if (std::isfinite(value)) trial.value = value;
    trial.summary = std::make_shared<const ordered_json>(std::move(summary));
  }

  /// nullopt if its job has not begun. In the run's folder it is seen whether its command runs.
  std::optional<json> status_of(const tune::JobOfSegment& job, const tune::Segment& segment) const {
    try {
      const fs::path path = folder_.value_or(fs::path()) / "trials" / job.folder;
      std::error_code error;
      const bool is_here = folder_ && fs::exists(path / "run.json", error);
      const json status(
          view::JobView::open(is_here ? path.string() : records_.trials_uri() + "/" + job.id)
              .status());
      const json summary = status.value("summary", json::object());
      if (tune::is_of_earlier_segment(summary, segments_, segment)) return {};
      return status;
    } catch (const Error&) {
      return {};
    }
  }

  void add_job(const json& status, const tune::Segment& segment, std::uint64_t folds,
               tune::TrialView& trial) {
    ordered_json summary = trial.summary ? *trial.summary : ordered_json::object();
    const json ended = status.value("summary", json::object());
    const bool has_ended = !ended.empty();
    const std::uint64_t told = trial.epoch;
    for (const char* name : {"model", "optim", "workers"})
      if (status.contains(name)) summary[name] = status[name];
    const json metrics = has_ended ? ended : status.value("metrics", json::object());
    for (const std::string& name : names_)
      if (metrics.contains(name)) summary[name] = metrics[name];
    const double value = tune::number_in(summary, search_.settings.text("metric"));
    if (std::isfinite(value)) trial.value = value;
    trial.summary = std::make_shared<const ordered_json>(std::move(summary));
    trial.epoch = std::max(
        trial.epoch, has_ended ? count_at(ended, "epochs") : count_at(status, "metrics_epoch"));
    const std::string state = text_at(status, "state");
    const auto counted = segment.counted.find(text_at(status, "job_id"));
    if (counted != segment.counted.end() && counted->second == count_at(status, "begun_ms")) return;
    // What a job cost that was stopped in order is in the segment's record.
    if (has_ended && folds > 1) {
      trial.cost_usd += number_at(ended, "cost_usd");
      trial.wall_s += number_at(ended, "wall_s");
    } else if (state == "running" || state == "interrupted") {
      const std::uint64_t before = count_at(status, "epochs_before");
      untold_epochs_ += (before - std::min(before, told)) / folds;
      trial.cost_usd += number_at(status, "cost_so_far_usd");
      trial.wall_s += number_at(status, "elapsed_s");
    }
  }

  const tune::Search& search_;
  tune::Records& records_;
  const std::optional<fs::path> folder_;
  const std::span<const tune::Segment> segments_;
  std::vector<std::string> names_;
  std::uint64_t untold_epochs_ = 0;
};

/// Adds how it will end, if the epochs to come take as long and cost as much as those before of
/// which that is known: all but `untold`.
void add_estimates(std::span<const tune::TrialView> trials, double expected, std::uint64_t untold,
                   ordered_json& now) {
  double epochs = 0, seconds = 0, dollars = 0, running = 0;
  for (const tune::TrialView& trial : trials) {
    if (trial.state == "running") ++running;
    // A failed one does no more.
    epochs += static_cast<double>(trial.state == "failed" ? trial.epochs : trial.epoch);
    seconds += trial.wall_s;
    dollars += trial.cost_usd;
  }
  const double told = epochs - static_cast<double>(untold);
  if (is_left(now) || told <= 0 || running == 0) return;
  const double left = std::max(0.0, expected - epochs);
  now["left_s"] = seconds / told * left / running;
  now["cost_usd_at_end"] = dollars + dollars / told * left;
}

}  // namespace

bool is_search(const std::string& place) {
  if (tune::is_search_folder(place)) return true;
  return place.find("://") != std::string::npos && tune::Records(place).search().has_value();
}

ordered_json search_now(const std::string& place) {
  const std::optional<fs::path> folder = folder_of(place);
  // The records of a search that is done may be gone.
  if (const std::optional<Buffer> text =
          folder ? read_file(*folder / "summary.json") : std::nullopt)
    return done(parse_ordered_json(text->text()), place);
  tune::Records records(tune::records_uri_of(place));
  const std::optional<tune::Search> search = records.search();
  if (!search) fail(Code::not_found, "search {}: its records are not there", place);
  if (const std::optional<ordered_json> summary = records.summary()) return done(*summary, place);
  ordered_json now{{"search_id", search->id}, {"state", state_of(folder, records)}};
  if (folder && is_left(now))
    now["advice"] =
        fmt::format("{}; continue with: lambdaml tune --resume {}",
                    text_at(now, "state") == "stopped" ? "it was stopped"
                                                       : "the command that started it has ended",
                    utf8_path(folder->string()));
  const auto strategy = tune::make_strategy(*search);
  const std::vector<tune::Segment> segments = records.segments();
  std::vector<tune::TrialView> trials = tune::trials_of(*strategy, segments);
  Progress progress(*search, records, folder, segments);
  for (tune::TrialView& trial : trials) {
    const auto segment = std::ranges::find_if(segments, [&](const tune::Segment& one) {
      return one.trial == trial.trial && !one.has_ended();
    });
    if (segment == segments.end()) continue;
    progress.add_to(trial, *segment);
    if (is_left(now)) trial.state = "stopped";
  }
  // A tuner says it now and then, and when a trial has ended.
  double worked_s = tune::search_seconds(records);
  for (const tune::TrialView& trial : trials) worked_s = std::max(worked_s, trial.wall_s);
  now.update(tune::summary_of(*search, trials, worked_s, ""));
  now.erase("ended_by");
  now["cost_so_far_usd"] = now["search_cost_usd"];
  add_estimates(trials, static_cast<double>(strategy->expected_epochs()), progress.untold_epochs(),
                now);
  return now;
}

}  // namespace lambdaml::report
