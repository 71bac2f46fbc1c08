#include "lambdaml/report/run_part.h"

#include <algorithm>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/cost/cost.h"
#include "lambdaml/data/places.h"
#include "lambdaml/job/running_cost.h"
#include "lambdaml/report/curves.h"
#include "lambdaml/report/model_part.h"
#include "lambdaml/report/options_part.h"
#include "lambdaml/report/timeline.h"
#include "lambdaml/storage/registry.h"
#include "lambdaml/view/job_view.h"

namespace lambdaml::report {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::size_t kMostEpochs = 600;
constexpr std::size_t kMostRounds = 1000;
constexpr std::size_t kMostEntries = 40'000;  ///< of the timelines of all workers
constexpr std::uintmax_t kMostTestBytes = 256U << 20U;

class RunPart {
 public:
  RunPart(const Source& source, const Request& request) : source_(source), request_(request) {}

  ordered_json item() {
    item_ = {{"kind", "run"}, {"place", source_.display()}};
    read_options();
    read_summary();
    read_state();
    note_missing_results();
    const Curves curves = learning_curves();
    const Timelines timelines = worker_timelines();
    add_dollars(curves, timelines);
    add_usage(timelines);
    item_["model"] =
        model_json(source_, rows_to_measure(), !request_.data.empty(), options(), notes_);
    item_["notes"] = notes_;
    return std::move(item_);
  }

 private:
  const Options* options() const { return options_ ? &*options_ : nullptr; }

  template <class... Arguments>
  void note(fmt::format_string<Arguments...> form, Arguments&&... arguments) {
    notes_.push_back(fmt::format(form, std::forward<Arguments>(arguments)...));
  }

  void note_damaged(std::uint64_t lines, const char* file) {
    if (lines == 1) note("A line of {} is damaged or cut off and is not shown.", file);
    if (lines > 1) note("{} lines of {} are damaged or cut off and are not shown.", lines, file);
  }

  /// The file's bytes; nullopt if there is none or it cannot be read, which is noted.
  std::optional<Buffer> read(const char* name) {
    try {
      return source_.read(name);
    } catch (const Error& error) {
      note("{} cannot be read: {}", name, error.what());
      return {};
    }
  }

  void read_options() {
    const std::optional<Buffer> text = read("job.yaml");
    if (!text) {
      if (!source_.folder().empty()) note("There is no job.yaml, so the options are not known.");
      return;
    }
    try {
      options_ = options_of(*text).without_passwords();
    } catch (const Error& error) {
      note("The options cannot be read ({}), as of a run of another version.", error.what());
      return;
    }
    item_["options"] = options_json(*options_);
    item_["repeat"] = command_of_job(*options_);
  }

  void read_summary() {
    const std::optional<Buffer> text = read("summary.json");
    if (!text) return;
    ordered_json summary = parse_ordered_json(text->text());
    has_damaged_summary_ = !summary.is_object();
    if (has_damaged_summary_) return note("summary.json is damaged.");
    summary_ = std::move(summary);
    item_["summary"] = summary_;
    item_["job_id"] = text_at(summary_, "job_id");
  }

  void read_state() {
    try {
      ordered_json status = view::JobView::open(source_.place()).status();
      status.erase("summary");
      item_["state"] = text_at(status, "state", "unknown");
      item_["job_id"] = text_at(status, "job_id");
      if (status.contains("advice")) note("It was interrupted: {}.", text_at(status, "advice"));
      item_["status"] = std::move(status);
    } catch (const Error& error) {
      item_["state"] = summary_.empty() ? "unknown" : "done";
      if (summary_.empty() || error.code() == Code::data_corrupt)
        note("How the job stands is not known: {}", error.what());
    }
  }

  /// A run that is done has these files. Beside checkpoints in a store there is no model.
  void note_missing_results() {
    if (text_at(item_, "state") != "done") return;
    if (summary_.empty() && !has_damaged_summary_)
      note("The run is done, but its summary.json is missing.");
    std::error_code error;
    if (!source_.folder().empty() &&
        !std::filesystem::exists(source_.folder() / "model.safetensors", error))
      note("The run is done, but its model.safetensors is missing.");
  }

  std::string model_name() const {
    if (summary_.contains("model")) return text_at(summary_, "model");
    return options_ ? options_->text("model") : "";
  }

  Curves learning_curves() {
    const std::optional<Buffer> text = read("metrics.jsonl");
    Curves curves = read_curves(text ? text->text() : "", kMostEpochs);
    note_damaged(curves.damaged_lines, "metrics.jsonl");
    if (curves.every > 1)
      note("The curves show one epoch in {} of {}.", curves.every, curves.epochs);
    for (const auto& [name, epoch] : curves.not_finite)
      note("{} is not a finite number in epoch {} and perhaps later.", name, epoch);
    if (!text && text_at(item_, "state") == "done")
      note("The run is done, but its metrics.jsonl is missing, so it has no learning curves.");
    else if (curves.epoch.empty() && summary_.empty())
      note("No epoch has ended yet.");
    item_["metrics"] = metrics_json(model_name());
    return curves;
  }

  Timelines worker_timelines() {
    const std::optional<Buffer> text = read("workers.jsonl");
    Timelines timelines(text ? text->text() : "", options_ && rounds_wait(*options_));
    note_damaged(timelines.damaged_lines(), "workers.jsonl");
    if (!text && !summary_.empty())
      note(
          "The run's folder has no workers.jsonl, as of a version before timelines of workers were "
          "kept.");
    if (timelines.empty()) return timelines;
    item_["workers"] = timelines.workers_json();
    item_["timeline"] = timelines.timeline_json(kMostEntries);
    item_["rounds"] = timelines.rounds_json(kMostRounds);
    if (!timelines.version().empty()) item_["version"] = timelines.version();
    return timelines;
  }

  /// Dollars until the end of each epoch: functions by their time, requests by the rounds.
  void add_dollars(const Curves& curves, const Timelines& timelines) {
    ordered_json out = curves.to_json();
    const json summary(summary_);
    const json cost = summary.value("cost", json::object());
    const double before_s = number_at(summary, "startup_s") + number_at(summary, "load_s");
    std::vector<double> seconds, dollars;
    const auto rounds = curves.columns.find("rounds");
    const double all_rounds = number_at(summary, "rounds");
    const double run_s =
        timelines.mean_run_s() > 0 ? timelines.mean_run_s() : number_at(summary, "wall_s");
    std::optional<job::RunningCost> running;
    if (summary_.empty() && options_) try {
        running = job::running_cost(*options_, options_->integer("memory_mb"));
        item_["estimated"] = true;
      } catch (const Error& error) {
        note("What the job costs is not known: {}", error.what());
      }
    for (std::size_t i = 0; i < curves.epoch.size(); ++i) {
      const double at_s = before_s + curves.seconds[i];
      seconds.push_back(at_s);
      if (running) {
        dollars.push_back(running->after(at_s));
        continue;
      }
      const double share_of_rounds =
          rounds != curves.columns.end() && all_rounds > 0 ? rounds->second[i] / all_rounds : 1;
      dollars.push_back(number_at(cost, "functions_usd") *
                            (run_s > 0 ? std::min(1.0, at_s / run_s) : 1) +
                        number_at(cost, "requests_usd") * share_of_rounds);
    }
    out["seconds"] = seconds;
    out["usd"] = dollars;
    if (running && !dollars.empty()) item_["cost_so_far_usd"] = dollars.back();
    // It knows the newest sign of life.
    if (const json status(item_.value("status", ordered_json::object()));
        summary_.empty() && status.contains("cost_so_far_usd"))
      item_["cost_so_far_usd"] = status["cost_so_far_usd"];
    item_["curves"] = std::move(out);
  }

  void add_usage(const Timelines& timelines) {
    if (timelines.empty()) return;
    ordered_json rows = ordered_json::array();
    const auto add = [&](const char* by, const cost::UsageByStore& usage) {
      const json of_stores = cost::to_json(usage);
      for (const auto& [store, kinds] : of_stores.items()) {
        cost::UsageByStore one{{store, usage.at(store)}};
        ordered_json row{{"store", store}, {"by", by}, {"kinds", ordered_json(kinds)}};
        try {
          const cost::Prices prices = cost::Prices::current();
          const std::string region =
              summary_.contains("cost") ? text_at(summary_["cost"], "region") : "";
          row["usd"] = prices.of_requests(one, prices.priced_region(region));
        } catch (const Error&) {
          // The summary has the sum.
        }
        rows.push_back(std::move(row));
      }
    };
    add("workers", timelines.usage_of_workers());
    add("trigger", timelines.usage_of_trigger());
    item_["usage"] = std::move(rows);
  }

  std::string rows_to_measure() const {
    if (!request_.measures) return {};
    if (!request_.data.empty()) return request_.data;
    const std::string test = options_ ? options_->text("test_data") : "";
    if (test.empty()) return {};
    try {
      std::uintmax_t bytes = 0;
      for (const Uri& uri : data::Places::parse(test).uris) {
        const auto path = storage::local_file(uri);
        std::error_code error;
        if (!path || !std::filesystem::is_regular_file(*path, error)) return {};
        bytes += std::filesystem::file_size(*path, error);
        if (error) return {};
      }
      return bytes <= kMostTestBytes ? test : "";
    } catch (const Error&) {
      return {};
    }
  }

  const Source& source_;
  const Request& request_;
  ordered_json item_;
  ordered_json notes_ = ordered_json::array();
  std::optional<Options> options_;
  ordered_json summary_ = ordered_json::object();
  bool has_damaged_summary_ = false;
};

}  // namespace

ordered_json run_json(const Source& source, const Request& request) {
  return RunPart(source, request).item();
}

}  // namespace lambdaml::report
