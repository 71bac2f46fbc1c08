#include "lambdaml/report/search_now.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>
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
#include "lambdaml/tune/report.h"
#include "lambdaml/tune/search_folder.h"
#include "lambdaml/tune/tuner.h"
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
  Progress(const tune::Search& search, tune::Records& records, std::optional<fs::path> folder)
      : search_(search), records_(records), folder_(std::move(folder)) {
    for (const model::ReportedMetric& metric : model::epoch_metrics())
      names_.push_back(metric.name);
  }

  /// Adds it to the trial. `epochs` are those to reach. What cannot be read adds nothing.
  void add_to(tune::TrialView& trial, std::uint64_t epochs) {
    const auto folds = static_cast<std::uint64_t>(search_.settings.integer("folds"));
    const std::string job = fmt::format("{}-{:04}", search_.id, trial.trial);
    const std::string run = fmt::format("{:04}-{}", trial.trial, epochs);
    if (folds == 0) {
      if (const std::optional<json> status = status_of(job, run)) add_job(*status, 1, trial);
      return;
    }
    // One after another; the metric is that of the newest.
    const std::uint64_t before = trial.epoch;
    std::uint64_t done = 0;
    for (std::uint64_t fold = 0; fold < folds; ++fold) {
      const std::optional<json> status =
          status_of(fmt::format("{}{:03}", job, fold), fmt::format("{}-{}", run, fold));
      if (!status) break;
      trial.epoch = 0;
      add_job(*status, folds, trial);
      done += trial.epoch;
    }
    trial.epoch = std::max(before, done / folds);
  }

  /// Epochs whose time and dollars nothing tells any more: of jobs that were killed and go on.
  std::uint64_t untold_epochs() const { return untold_epochs_; }

 private:
  /// nullopt if its job has not begun. In the run's folder it is seen whether its command runs.
  std::optional<json> status_of(const std::string& job, const std::string& run) const {
    try {
      const fs::path path = folder_.value_or(fs::path()) / "trials" / run;
      std::error_code error;
      if (folder_ && fs::exists(path / "run.json", error))
        return json(view::JobView::open(path.string()).status());
      return json(view::JobView::open(records_.trials_uri() + "/" + job).status());
    } catch (const Error&) {
      return {};
    }
  }

  void add_job(const json& status, std::uint64_t folds, tune::TrialView& trial) {
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
  Progress progress(*search, records, folder);
  for (tune::TrialView& trial : trials) {
    const auto segment = std::ranges::find_if(segments, [&](const tune::Segment& one) {
      return one.trial == trial.trial && !one.has_ended();
    });
    if (segment == segments.end()) continue;
    progress.add_to(trial, segment->epochs);
    if (is_left(now)) trial.state = "stopped";
  }
  now.update(tune::summary_of(*search, trials, 0, ""));
  // How long it ran is known at its end.
  for (const char* name : {"search_wall_s", "ended_by"}) now.erase(name);
  now["cost_so_far_usd"] = now["search_cost_usd"];
  add_estimates(trials, static_cast<double>(strategy->expected_epochs()), progress.untold_epochs(),
                now);
  return now;
}

}  // namespace lambdaml::report
