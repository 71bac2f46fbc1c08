#include "lambdaml/dashboard/watched.h"

#include <algorithm>
#include <array>
#include <set>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/secrets.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/control/job_record.h"
#include "lambdaml/report/search_now.h"
#include "lambdaml/storage/registry.h"
#include "lambdaml/view/job_view.h"

namespace lambdaml::dashboard {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

/// Seconds between two readings of what runs, and of what may go on. What is done is not read again
/// unless its files change.
struct Pace {
  double running_s, stopped_s;

  double until_next(const std::string& state) const {
    constexpr double kNever_s = 1e9;
    return state == "done" ? kNever_s : state == "running" ? running_s : stopped_s;
  }
};
constexpr Pace kHere{3, 30}, kElsewhere{10, 120};
/// New lines of metrics.jsonl that are read at a time; the page reads the rest with the run itself.
constexpr std::uint64_t kMostNewBytes = 256 << 10;

/// Members that change with the time alone: no news by themselves.
constexpr std::array kClocks = {"elapsed_s",     "left_s",          "seen_ms",
                                "search_wall_s", "cost_so_far_usd", "cost_usd_at_end"};

std::string name_of(const std::string& where) {
  const std::size_t end = where.find_last_not_of('/');
  const std::string path = where.substr(0, end + 1);
  return utf8_path(path.substr(path.find_last_of('/') + 1));
}

void redact(ordered_json& value) {
  if (value.is_string())
    value = redacted(value.get_ref<const std::string&>());
  else if (value.is_structured())
    for (ordered_json& member : value) redact(member);
}

ordered_json without_clocks(ordered_json row) {
  for (const char* name : kClocks) row.erase(name);
  return row;
}

/// When a file was changed, as a number that differs after each change; 0 if it is not there.
std::uint64_t stamp_of(const fs::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return 0;
  return static_cast<std::uint64_t>(info.st_mtim.tv_sec) * 1'000'000'007U +
         static_cast<std::uint64_t>(info.st_mtim.tv_nsec) +
         static_cast<std::uint64_t>(info.st_size);
}

/// Whole lines that were appended to a file since the last call. The first call skips what is
/// there.
class Tail {
 public:
  explicit Tail(fs::path path) : path_(std::move(path)) {}

  std::string news() {
    const FileDescriptor file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    const off_t size = file ? ::lseek(file.get(), 0, SEEK_END) : 0;
    if (size < 0) return {};
    const auto end = static_cast<std::uint64_t>(size);
    // A run that is resumed rewrites the file; the page reads the whole run then.
    if (!begun_ || end < at_ || end - at_ > kMostNewBytes) {
      begun_ = true;
      at_ = end;
      return {};
    }
    if (end == at_) return {};
    std::string text(end - at_, '\0');
    const ssize_t n = ::pread(file.get(), text.data(), text.size(), static_cast<off_t>(at_));
    text.resize(static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    text.resize(text.rfind('\n') + 1);
    at_ += text.size();
    return text;
  }

 private:
  fs::path path_;
  bool begun_ = false;
  std::uint64_t at_ = 0;
};

class WatchedRun : public Watched {
 public:
  WatchedRun(const Place& place, bool remote) : place_(place), pace_(remote ? kElsewhere : kHere) {
    if (!remote)
      if (const auto path = storage::local_file(Uri::parse(place.where))) {
        folder_ = *path;
        tail_.emplace(*path / control::record::kMetrics);
      }
  }

  News poll(double now_s) override {
    News news;
    if (tail_ && is_running_) news.epochs = lines_joined(tail_->news());
    const bool is_due = now_s >= next_s_ || is_touched();
    if (!is_due) return news;
    ordered_json row = read();
    is_running_ = text_at(row, "state") == "running";
    if (tail_ && is_running_ && news.epochs.empty()) news.epochs = lines_joined(tail_->news());
    next_s_ = now_s + pace_.until_next(text_at(row, "state"));
    news.changed = without_clocks(row) != without_clocks(row_);
    row_ = std::move(row);
    return news;
  }

  const ordered_json& row() const override { return row_; }

 private:
  /// Whether the run has ended, or was begun again, since it was read.
  bool is_touched() {
    if (folder_.empty()) return false;
    const std::uint64_t stamp = stamp_of(folder_ / "summary.json") ^
                                (is_running_ ? 0 : stamp_of(folder_ / control::record::kMetrics));
    return std::exchange(stamp_, stamp) != stamp;
  }

  ordered_json read() {
    ordered_json row{{"kind", "run"},
                     {"name", name_of(place_.where)},
                     {"place", display()},
                     {"state", "unknown"}};
    try {
      // A job that goes on has another record.
      if (!view_ || !is_running_) view_.emplace(view::JobView::open(place_.where));
      row.update(view_->status());
      add_summary(row);
    } catch (const Error& error) {
      view_.reset();
      row["error"] = error.what();
    }
    const std::string state = text_at(row, "state");
    ordered_json actions = ordered_json::array();
    if (state == "running") actions.push_back("stop");
    const bool can_go_on =
        state == "interrupted" || state == "stopped" || state == "paused" || state == "failed";
    if (can_go_on && !folder_.empty() && fs::exists(folder_ / "run.json"))
      actions.push_back("resume");
    row["actions"] = std::move(actions);
    redact(row);
    return row;
  }

  static void add_summary(ordered_json& row) {
    const auto summary = row.find("summary");
    if (summary == row.end()) return;
    const ordered_json all = *summary;
    row.erase("summary");
    for (const char* name : {"cost_usd", "wall_s", "ended_by", "epochs"})
      if (all.contains(name)) row[name] = all[name];
    ordered_json metrics = ordered_json::object();
    for (const auto& [name, value] : all.items())
      if (value.is_number() &&
          (name.ends_with("_loss") || name.ends_with("_accuracy") || name == "inertia" ||
           name.starts_with("train_") || name.starts_with("valid_") || name.starts_with("test_")))
        metrics[name] = value;
    row["metrics"] = std::move(metrics);
    row["metrics_epoch"] = count_at(all, "epochs");
  }

  static std::string lines_joined(std::string lines) {
    if (!lines.empty()) lines.pop_back();
    std::string out;
    std::size_t begin = 0;
    while (begin < lines.size()) {
      const std::size_t end = std::min(lines.find('\n', begin), lines.size());
      const std::string_view line = std::string_view(lines).substr(begin, end - begin);
      // What is damaged is left to the report's notes.
      if (const json epoch = parse_json(line); epoch.is_object())
        out += (out.empty() ? "" : ",") + json_text(epoch);
      begin = end + 1;
    }
    return out;
  }

  std::string display() const {
    return folder_.empty() ? Uri::parse(place_.where).display() : utf8_path(folder_.string());
  }

  const Place place_;
  const Pace pace_;
  fs::path folder_;  ///< empty if it is in a store
  std::optional<Tail> tail_;
  std::optional<view::JobView> view_;
  ordered_json row_ = ordered_json::object();
  bool is_running_ = false;
  double next_s_ = -1;
  std::uint64_t stamp_ = 0;
};

class WatchedSearch : public Watched {
 public:
  WatchedSearch(const Place& place, bool remote)
      : place_(place), pace_(remote ? kElsewhere : kHere) {
    if (!remote)
      if (const auto path = storage::local_file(Uri::parse(place.where))) folder_ = *path;
  }

  News poll(double now_s) override {
    if (now_s < next_s_) return {};
    ordered_json row = read();
    next_s_ = now_s + pace_.until_next(text_at(row, "state"));
    const bool changed = without_clocks(row) != without_clocks(row_);
    row_ = std::move(row);
    return {.changed = changed, .epochs = {}};
  }

  const ordered_json& row() const override { return row_; }

 private:
  ordered_json read() {
    ordered_json row{{"kind", "search"},
                     {"name", name_of(place_.where)},
                     {"place", folder_.empty() ? Uri::parse(place_.where).display()
                                               : utf8_path(folder_.string())},
                     {"state", "unknown"},
                     {"actions", ordered_json::array()}};
    try {
      fill(row);
    } catch (const Error& error) {
      row["error"] = error.what();
    }
    redact(row);
    return row;
  }

  void fill(ordered_json& row) {
    const ordered_json summary = report::search_now(place_.where);
    const std::string state = text_at(summary, "state");
    row["state"] = state;
    for (const char* name :
         {"strategy", "metric", "model", "optim", "workers", "best_trial", "trials_done",
          "trials_stopped", "trials_failed", "begun_ms", "trials_running", "search_epochs",
          "search_wall_s", "left_s", "cost_so_far_usd", "cost_usd_at_end"})
      if (summary.contains(name)) row[name] = summary[name];
    if (state == "done" && summary.contains("search_cost_usd"))
      row["cost_usd"] = summary["search_cost_usd"];
    if (summary.contains("trials") && summary["trials"].is_array())
      row["trials"] = summary["trials"].size();
    const std::string metric = text_at(summary, "metric");
    if (!metric.empty() && summary.contains(metric))
      row["metrics"] = ordered_json{{metric, summary[metric]}};
    // One without a folder here is resumed elsewhere.
    if ((state == "interrupted" || state == "stopped") && !folder_.empty())
      row["actions"] = ordered_json{"resume"};
    if (state == "running" || state == "not ended") row["actions"] = ordered_json{"stop"};
  }

  const Place place_;
  const Pace pace_;
  fs::path folder_;
  ordered_json row_ = ordered_json::object();
  double next_s_ = -1;
};

}  // namespace

std::unique_ptr<Watched> watch(const Place& place, bool remote) {
  if (place.kind == Place::Kind::search) return std::make_unique<WatchedSearch>(place, remote);
  return std::make_unique<WatchedRun>(place, remote);
}

}  // namespace lambdaml::dashboard
