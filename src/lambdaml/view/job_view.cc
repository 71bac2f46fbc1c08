#include "lambdaml/view/job_view.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/control/channel.h"
#include "lambdaml/control/job_channel.h"
#include "lambdaml/control/job_record.h"
#include "lambdaml/control/run_folder.h"
#include "lambdaml/control/stores.h"
#include "lambdaml/control/worker_status.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/job/event.h"
#include "lambdaml/job/metrics.h"
#include "lambdaml/job/running_cost.h"
#include "lambdaml/optim/registry.h"
#include "lambdaml/storage/registry.h"

namespace lambdaml::view {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

/// The maximum number of workers of a job; a record with more is invalid.
constexpr std::uint64_t kMostWorkers = 10'000;

constexpr const char* kRunFile = "run.json";

/// The process that started a job takes the reports of all workers within this time.
constexpr double kCollecting_s = 3;

/// The end of a file, cut to whole lines; nullopt if there is none.
std::optional<Buffer> tail_of_file(const fs::path& path, std::uint64_t bytes) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const off_t size = file ? ::lseek(file.get(), 0, SEEK_END) : -1;
  if (size < 0) return {};
  const auto length = std::min(static_cast<std::uint64_t>(size), bytes);
  std::string text(length, '\0');
  const ssize_t n = ::pread(file.get(), text.data(), length, size - static_cast<off_t>(length));
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
  if (length < static_cast<std::uint64_t>(size)) text.erase(0, text.find('\n') + 1);
  return Buffer(as_bytes(text));
}

/// The location of a job among checkpoints in files, as opposed to a run's folder.
bool is_checkpoint_folder(const fs::path& folder) {
  std::error_code error;
  return !fs::exists(folder / kRunFile, error) && fs::exists(folder / control::record::kJob, error);
}

/// The last whole line of metrics.jsonl that is a record of an epoch.
std::optional<job::EpochMetrics> last_epoch(std::string_view text) {
  text = text.substr(0, text.rfind('\n') + 1);
  while (!text.empty()) {
    text.remove_suffix(1);
    const std::size_t begin = text.rfind('\n') + 1;
    try {
      return job::EpochMetrics::from_json(text.substr(begin));
    } catch (const Error&) {
      text = text.substr(0, begin);
    }
  }
  return {};
}

json object_from(std::string_view text, const std::string& what) {
  json object = parse_json(text);
  if (!object.is_object()) fail(Code::data_corrupt, "{}: it is damaged", what);
  return object;
}

/// The folder of the run whose checkpoints are in it, as they are by default: there it is seen
/// whether its command runs. Empty if they are elsewhere.
fs::path run_folder_of(const Uri& checkpoints_of_job) {
  const std::optional<fs::path> path = storage::local_file(checkpoints_of_job);
  if (!path) return {};
  const fs::path folder = path->parent_path().parent_path();
  std::error_code error;
  if (!fs::exists(folder / kRunFile, error)) return {};
  try {
    const bool is_its = control::RunFolder::identify(folder.string()).job_id == path->filename();
    return is_its ? folder : fs::path();
  } catch (const Error&) {
    return {};
  }
}

}  // namespace

JobView JobView::open(const std::string& run) {
  JobView view;
  view.run_ = run;
  std::string checkpoints;
  const std::string path = path_of_file_uri(run);
  const bool is_path = run.find("://") == std::string::npos;
  std::error_code error;
  if (is_path ? !is_checkpoint_folder(path) : fs::exists(fs::path(path) / kRunFile, error)) {
    view.folder_ = path;
    const control::RunFolder::Identity identity = control::RunFolder::identify(path);
    view.job_id_ = identity.job_id;
    checkpoints = identity.checkpoint_uri;
  } else {
    const Uri uri = Uri::parse(run);
    view.job_id_ = uri.name();
    checkpoints = uri.parent().text();
    view.folder_ = run_folder_of(uri);
  }
  view.store_ = storage::open(checkpoints);
  const std::optional<Buffer> record =
      view.store_->load(view.job_id_ + "/" + control::record::kJob);
  if (!record && !view.folder_.empty())
    // A search removes the checkpoints and records of its trials when it ends.
    if (const std::optional<Buffer> summary = read_file(view.folder_ / control::record::kSummary)) {
      view.record_ =
          std::make_shared<const json>(object_from(summary->text(), run + ": its summary"));
      view.workers_ = static_cast<std::uint32_t>(
          std::clamp<std::uint64_t>(count_at(*view.record_, "workers"), 1, kMostWorkers));
      return view;
    }
  if (!record)
    fail(Code::not_found, "run {}: nothing is known of a job {} in {}", run, view.job_id_,
         Uri::parse(checkpoints).display());
  const std::string what = fmt::format("run {}: its {}", run, control::record::kJob);
  view.record_ = std::make_shared<const json>(object_from(record->text(), what));
  const std::uint64_t workers = count_at(*view.record_, "workers");
  if (workers == 0 || workers > kMostWorkers)
    fail(Code::data_corrupt, "{}: it says nothing of its workers", what);
  view.workers_ = static_cast<std::uint32_t>(workers);
  return view;
}

std::vector<std::string> JobView::list(const std::string& where) {
  std::set<std::string> runs;
  if (where.find("://") == std::string::npos) {
    std::error_code error;
    if (!fs::is_directory(where, error))
      fail(Code::not_found, "{}: no such folder; runs are in runs/ where lambdaml train was called",
           where);
    for (const auto& entry : fs::directory_iterator(where, error))
      if (fs::exists(entry.path() / kRunFile, error) || is_checkpoint_folder(entry.path()))
        runs.insert(entry.path().string());
  } else {
    const Uri uri = Uri::parse(where);
    const std::string tail = std::string("/") + control::record::kJob;
    for (const storage::Entry& entry : storage::open(uri)->list(""))
      if (entry.key.ends_with(tail))
        runs.insert((uri / entry.key.substr(0, entry.key.size() - tail.size())).text());
  }
  return {runs.begin(), runs.end()};
}

std::shared_ptr<storage::Storage> JobView::channel() const {
  const std::string uri = text_at(*record_, "channel");
  return control::open_channel(uri, job_id_);
}

/// Beside the checkpoints or, if they have been removed, in the run's folder.
std::optional<Buffer> JobView::load_summary() const {
  std::optional<Buffer> text = store_->load(job_id_ + "/" + control::record::kSummary);
  const bool has_record = text || folder_.empty() || !record_->contains("ended_by");
  if (!has_record) text = read_file(folder_ / control::record::kSummary);
  return text;
}

bool JobView::has_ended() const {
  return load_summary() || store_->load(job_id_ + "/" + control::record::kEnded);
}

/// Whether a process of this machine works on the run.
bool JobView::is_locked() const {
  const FileDescriptor file(::open((folder_ / kRunFile).c_str(), O_RDONLY | O_CLOEXEC));
  return file && ::flock(file.get(), LOCK_SH | LOCK_NB) != 0;
}

bool JobView::is_remote() const {
  const faas::Plugin* platform = faas::registry().find(text_at(*record_, "platform"));
  return platform != nullptr && platform->remote;
}

/// Adds what the job's end says; false if it has not ended.
bool JobView::add_end(ordered_json& status) const {
  if (const auto text = load_summary()) {
    const json summary = object_from(text->text(), run_ + ": its summary");
    status["state"] = text_at(summary, "ended_by") == job::kPaused ? "paused" : "done";
    status["summary"] = summary;
    return true;
  }
  if (const auto text = store_->load(job_id_ + "/" + control::record::kEnded)) {
    const json ended = object_from(text->text(), run_ + ": how it ended");
    status["state"] = text_at(ended, "state", "failed");
    status["error"] = text_at(ended, "error");
    add_metrics(status);
    if (ended.contains("ended_ms"))
      add_estimates(status, static_cast<std::int64_t>(count_at(ended, "ended_ms")));
    return true;
  }
  return false;
}

/// Adds what the workers have written to the channel; false if all of them have reported.
bool JobView::add_progress(storage::Storage& channel, ordered_json& status) const {
  const control::JobProgress progress = control::progress_of_job(channel, workers());
  status["started"] = progress.started;
  status["finished"] = progress.finished;
  // Clocks of other machines may be ahead.
  if (progress.seen_ms > 0)
    status["seen_ms"] = std::min(progress.seen_ms, static_cast<std::uint64_t>(epoch_ms()));
  if (progress.of_worker_0) {
    const json at = object_from(*progress.of_worker_0, run_ + ": its progress");
    for (const char* name : {"epoch", "round", "rounds"})
      if (at.contains(name)) status[name] = count_at(at, name);
  }
  return progress.finished < workers();
}

/// The time limit of the job's functions; nullopt: they have none, or it is not known.
std::optional<double> JobView::longest_function_s() const {
  const faas::Plugin* platform = faas::registry().find(text_at(*record_, "platform"));
  if (platform == nullptr) return {};
  // A deployed function has the limit that it was deployed with.
  const double limit_s = platform->remote ? platform->longest_s : number_at(*record_, "timeout_s");
  return std::isfinite(limit_s) && limit_s > 0 ? std::optional(limit_s) : std::nullopt;
}

/// Whether no function can be alive that has given no sign of life for so long: one that had just
/// begun to work when its time was over, and its successor, which loads the data again.
bool JobView::is_silent(const ordered_json& status) const {
  const std::optional<double> limit_s = longest_function_s();
  std::uint64_t seen_ms = count_at(status, "seen_ms");
  const bool has_old_workers = seen_ms == 0 && count_at(status, "started") > 0;
  seen_ms = std::max(seen_ms, count_at(*record_, "begun_ms"));
  if (!limit_s || seen_ms == 0 || has_old_workers) return false;
  return static_cast<double>(epoch_ms()) - static_cast<double>(seen_ms) > 2e3 * *limit_s;
}

/// Whether the process that started the job still collects its results, as far as can be seen.
/// Without the run's folder it can only be seen that nobody takes the reports of all workers, or
/// that all have fallen silent.
bool JobView::is_awaited(storage::Storage& channel, ordered_json& status) const {
  if (!folder_.empty()) return is_locked();
  const Deadline end = Deadline::in(kCollecting_s);
  while (!add_progress(channel, status)) {
    if (end.passed()) return false;
    pause_for(kCollecting_s / 20);
    if (has_ended()) return false;
  }
  return !is_silent(status);
}

/// What the job's last epoch said. An epoch that is not finite is null in the file, and absent
/// here.
void JobView::add_metrics(ordered_json& status) const {
  constexpr std::uint64_t kTail = 64 << 10;  // longer than any line
  std::optional<Buffer> text;
  const std::string name = control::record::kMetrics;
  if (folder_.empty())
    text = store_->load(job_id_ + "/" + name);
  else
    text = tail_of_file(folder_ / name, kTail);
  const std::optional<job::EpochMetrics> last = text ? last_epoch(text->text()) : std::nullopt;
  if (!last) return;
  status["metrics_epoch"] = last->epoch;
  status["metrics"] = last->values;
}

/// When the last epoch of an interrupted job ended, the last that is known of it; nullopt if none
/// did. Stores do not tell when a file was written: there, the times of the epochs are added.
std::optional<std::int64_t> JobView::last_epoch_ms() const {
  if (!folder_.empty()) {
    struct stat info {};
    const fs::path path = folder_ / control::record::kMetrics;
    if (::stat(path.c_str(), &info) != 0 || info.st_size == 0) return {};
    return std::int64_t{info.st_mtim.tv_sec} * 1000 + info.st_mtim.tv_nsec / 1'000'000;
  }
  const std::optional<Buffer> text = store_->load(job_id_ + "/" + control::record::kMetrics);
  double seconds = 0;
  for (const std::string& line : split(text ? std::string(text->text()) : "", '\n')) {
    const json epoch = parse_json(line);
    // Earlier ones are of the run that this one continues.
    if (!epoch.is_object() || count_at(epoch, "epoch") <= count_at(*record_, "epochs_done"))
      continue;
    seconds += number_at(epoch, "compute_s") + number_at(epoch, "comm_s");
  }
  if (seconds == 0) return {};
  return static_cast<std::int64_t>(count_at(*record_, "begun_ms")) +
         static_cast<std::int64_t>(seconds * 1e3);
}

/// How long it has run, and what that costs; of a job that runs also how it will end.
void JobView::add_estimates(ordered_json& status, std::int64_t until_ms) const {
  const json& record = *record_;
  if (count_at(record, "begun_ms") == 0) return;  // of an older version
  const auto begun_ms = count_at(record, "begun_ms");
  const double elapsed_s =
      std::max(0.0, (static_cast<double>(until_ms) - static_cast<double>(begun_ms)) / 1e3);
  status["elapsed_s"] = elapsed_s;
  status["epochs_before"] = count_at(record, "epochs_done");
  const auto epochs = static_cast<double>(count_at(record, "epochs"));
  const auto before = static_cast<double>(count_at(record, "epochs_done"));
  auto done = static_cast<double>(count_at(status, "metrics_epoch"));
  // Worker 0 tells its position within the epoch after that.
  const auto rounds = static_cast<double>(count_at(status, "rounds"));
  if (rounds > 0)
    done =
        std::max(done, static_cast<double>(count_at(status, "epoch")) - 1 +
                           std::min(1.0, static_cast<double>(count_at(status, "round")) / rounds));
  std::optional<double> left_s;
  if (done > before && text_at(status, "state") == "running")
    left_s = std::max(0.0, elapsed_s / (done - before) * (epochs - done));
  if (left_s) status["left_s"] = *left_s;
  try {
    const job::RunningCost cost = job::running_cost(
        text_at(record, "platform"), workers(),
        static_cast<std::int64_t>(count_at(record, "memory_mb")), text_at(record, "architecture"));
    status["cost_so_far_usd"] = cost.after(elapsed_s);
    status["usd_per_second"] = cost.per_second;
    if (left_s) status["cost_usd_at_end"] = cost.after(elapsed_s + *left_s);
  } catch (const Error&) {
    // There is no such platform in this build, or no price for it.
  }
}

/// Adds when the job gave its last sign of life, as far as is known of one that nobody runs: of a
/// worker in its channel, if that is there (null: it is not) and was not read yet, or the end of an
/// epoch.
void JobView::add_last_sign(storage::Storage* channel, ordered_json& status) const {
  std::uint64_t seen_ms = count_at(status, "seen_ms");
  const bool is_unread = channel != nullptr && !status.contains("started");
  if (is_unread && channel->capabilities().cross_process) try {
      // Clocks of other machines may be ahead.
      seen_ms = std::min(control::progress_of_job(*channel, workers()).seen_ms,
                         static_cast<std::uint64_t>(epoch_ms()));
    } catch (const Error&) {
      // A server that is not there any more.
    }
  if (const std::optional<std::int64_t> epoch = last_epoch_ms())
    seen_ms = std::max(seen_ms, static_cast<std::uint64_t>(std::max<std::int64_t>(*epoch, 0)));
  if (seen_ms == 0) return;
  status["seen_ms"] = seen_ms;
  add_estimates(status, static_cast<std::int64_t>(seen_ms));
}

std::string JobView::advice(const ordered_json& status) const {
  if (!folder_.empty())
    return "the command that started it has ended; continue with: lambdaml resume " +
           utf8_path(folder_.string());
  // Its id follows from the event; there is no run's folder (job::id_of_request).
  const bool is_silent_now = is_silent(status);
  if (job_id_.starts_with("job-"))
    return is_silent_now
               ? "its functions have ended: they gave no sign of life for longer than they may "
                 "run; "
                 "its event, sent again to the trigger function, begins another job"
               : "the function that started it has ended; its platform calls it again, twice at "
                 "most";
  if (is_silent_now)
    return fmt::format(
        "its functions have ended: they gave no sign of life for longer than the {} s that they "
        "may run; continue where its folder is, with: lambdaml resume RUN",
        longest_function_s().value());
  return "the command that started it has ended; continue there with: lambdaml resume RUN, RUN "
         "being its folder";
}

ordered_json JobView::status() const { return status(nullptr); }

ordered_json JobView::status_of_abandoned(control::Stores& stores) const { return status(&stores); }

ordered_json JobView::status(control::Stores* of_abandoned) const {
  const json& record = *record_;
  ordered_json status{{"job_id", job_id_}, {"state", "running"}};
  for (const char* name : {"model", "optim", "sync_mode", "workers", "epochs", "platform"})
    if (record.contains(name)) status[name] = record[name];
  if (const std::uint64_t begun_ms = count_at(record, "begun_ms")) status["begun_ms"] = begun_ms;
  if (add_end(status)) return status;

  if (of_abandoned != nullptr) {
    status["state"] = "interrupted";
    add_metrics(status);
    std::shared_ptr<storage::Storage> left;
    try {
      left = of_abandoned->open_channel(text_at(record, "channel"), job_id_);
    } catch (const Error&) {
      // It is not there any more.
    }
    add_last_sign(left.get(), status);
    return status;
  }
  const std::shared_ptr<storage::Storage> meeting_place = channel();
  // If its workers are threads of the command that started it, its channel is in that process's
  // memory.
  const bool is_private = !meeting_place->capabilities().cross_process;
  const bool is_there = is_private || meeting_place->load(control::keys::kJob).has_value();
  const bool is_awaited_now = is_there && (is_private ? folder_.empty() || is_locked()
                                                      : is_awaited(*meeting_place, status));
  if (!is_awaited_now) {
    if (add_end(status)) return status;  // just now
    status["state"] = "interrupted";
    status["advice"] = advice(status);
  }
  // Workers on other machines go on by themselves.
  const bool has_progress = !is_private && is_there && (is_awaited_now || is_remote());
  if (has_progress && !status.contains("started")) add_progress(*meeting_place, status);
  add_metrics(status);
  if (is_awaited_now)
    add_estimates(status, epoch_ms());
  else
    add_last_sign(meeting_place.get(), status);
  return status;
}

void JobView::stop() const {
  if (has_ended()) fail(Code::invalid_argument, "run {}: it has ended already", run_);
  const std::shared_ptr<storage::Storage> meeting_place = channel();
  if (!meeting_place->capabilities().cross_process)
    fail(Code::invalid_argument,
         "run {}: its workers are threads of the command that started it; end that with Ctrl-C",
         run_);
  // Workers on other machines may still run although the trigger has ended; only they can end
  // themselves.
  if (!meeting_place->load(control::keys::kJob) ||
      (!is_remote() && !folder_.empty() && !is_locked()))
    fail(Code::invalid_argument, "run {}: it is not running; continue with: lambdaml resume {}",
         run_, utf8_path(run_));
  if (is_remote())
    control::stop_workers(*meeting_place, workers());
  else
    meeting_place->save(control::keys::kStop, {});
}

std::string JobView::log(std::uint32_t worker) const {
  std::optional<Buffer> text;
  if (!folder_.empty()) text = read_file(folder_ / fmt::format("log/worker-{}.log", worker));
  if (!text || text->text().empty()) text = store_->load(control::keys::log(job_id_, worker));
  return text ? std::string(text->text()) : std::string();
}

}  // namespace lambdaml::view
