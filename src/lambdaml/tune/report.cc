#include "lambdaml/tune/report.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/data/places.h"
#include "lambdaml/job/job_file.h"
#include "lambdaml/model/reporting.h"

namespace lambdaml::tune {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

/// The metrics of models that trials' jobs may report.
std::vector<std::string> reported_names() {
  std::vector<std::string> names;
  for (const model::ReportedMetric& reported : model::epoch_metrics())
    names.push_back(reported.name);
  return names;
}

ordered_json options_json(const TrialView& trial) {
  ordered_json out = ordered_json::object();
  for (const Assignment& assignment : trial.parameters)
    out[assignment.name] = json_of(assignment.value);
  return out;
}

/// The summary of the trial's job; an empty object if there is none.
const ordered_json& summary_of(const TrialView& trial) {
  static const ordered_json none = ordered_json::object();
  return trial.summary ? *trial.summary : none;
}

std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

}  // namespace

double number_in(const ordered_json& summary, const std::string& name) {
  const auto found = summary.find(name);
  return found != summary.end() && found->is_number() ? found->get<double>() : std::nan("");
}

std::vector<TrialView> trials_of(const Strategy& strategy, std::span<const Segment> segments) {
  std::map<std::uint64_t, TrialView> by_number;
  for (const Segment& segment : segments) {
    TrialView& view = by_number[segment.trial];
    if (view.epochs == 0) {
      view.trial = segment.trial;
      view.parameters = strategy.parameters(segment.trial);
      view.epochs = strategy.whole_epochs(segment.trial);
    }
    view.cost_usd += segment.cost_usd;
    view.killed_usd += segment.killed_usd;
    view.wall_s += segment.wall_s;
    view.epoch = std::max(view.epoch, segment.epoch);
    switch (segment.state) {
      case Segment::State::under_way:
        view.state = "running";
        break;
      case Segment::State::failed:
        view.state = "failed";
        view.reason = segment.reason;
        break;
      case Segment::State::done:
        view.value = segment.value;
        view.summary = segment.summary;
        // Until, or converged: it would not continue.
        view.state =
            segment.epochs < view.epochs && segment.epoch == segment.epochs ? "stopped" : "done";
        break;
    }
  }
  std::vector<TrialView> out;
  for (auto& [number, view] : by_number) out.push_back(std::move(view));
  return out;
}

const TrialView* best_of(const Search& search, std::span<const TrialView> trials) {
  const double sign = higher_is_better(search) ? -1 : 1;
  const TrialView* best = nullptr;
  for (const TrialView& trial : trials)
    if (trial.value && (best == nullptr || sign * *trial.value < sign * *best->value))
      best = &trial;
  return best;
}

std::string trials_csv(const Search& search, std::span<const TrialView> trials) {
  std::vector<std::string> metrics;
  for (const std::string& name : reported_names())
    if (std::ranges::any_of(
            trials, [&](const TrialView& trial) { return summary_of(trial).contains(name); }))
      metrics.push_back(name);

  std::string text = "trial,state";
  for (const Parameter& parameter : search.space.parameters())
    text += fmt::format(",{}", parameter.name);
  text += ",epochs";
  for (const std::string& name : metrics) text += "," + name;
  text += ",cost_usd,wall_s,reason\n";
  for (const TrialView& trial : trials) {
    text += fmt::format("{},{}", trial.trial, trial.state);
    for (const Assignment& assignment : trial.parameters)
      text += fmt::format(",{}", quoted(to_text(value_without_passwords(assignment.value))));
    text += fmt::format(",{}", trial.epoch);
    for (const std::string& name : metrics) {
      const double value = number_in(summary_of(trial), name);
      text += std::isfinite(value) ? fmt::format(",{}", value) : ",";
    }
    text += fmt::format(",{},{:.3f},{}\n", trial.cost_usd, trial.wall_s, quoted(trial.reason));
  }
  return text;
}

std::string best_yaml(const Search& search, const TrialView& best) {
  Options options = options_of(search, best.parameters);
  // The file may be used from any folder.
  for (const char* name : {"data", "test_data"})
    if (!options.text(name).empty())
      options.set(name, Option::Value(data::Places::parse(options.text(name)).text()), name);
  std::string text = fmt::format("# Trial {} of the search {}: {} {}", best.trial, search.id,
                                 search.settings.text("metric"), best.value.value_or(0));
  if (best.state == "stopped") text += fmt::format(" after {} epochs", best.epoch);
  return text + "\n" + job::to_yaml(options.without_passwords(), job::Values::given);
}

ordered_json summary_of(const Search& search, std::span<const TrialView> trials, double wall_s,
                        const std::string& ended_by) {
  ordered_json out{{"search_id", search.id},
                   {"strategy", search.settings.text("strategy")},
                   {"metric", search.settings.text("metric")},
                   {"ended_by", ended_by}};
  if (search.begun_ms > 0) out["begun_ms"] = search.begun_ms;
  double cost = 0, killed = 0;
  std::uint64_t epochs = 0;
  std::map<std::string, std::uint64_t> states;
  ordered_json rows = ordered_json::array();
  const std::vector<std::string> names = reported_names();
  for (const TrialView& trial : trials) {
    cost += trial.cost_usd;
    killed += trial.killed_usd;
    epochs += trial.epoch;
    ++states[trial.state];
    ordered_json row{{"trial", trial.trial},
                     {"state", trial.state},
                     {"options", options_json(trial)},
                     {"epochs", trial.epoch}};
    const ordered_json& summary = summary_of(trial);
    for (const std::string& name : names)
      if (summary.contains(name)) row[name] = summary[name];
    if (const auto folds = summary.find("fold_values");
        folds != summary.end() && folds->is_object())
      row["fold_values"] = folds->value(search.settings.text("metric"), ordered_json::array());
    row["cost_usd"] = trial.cost_usd;
    if (trial.killed_usd > 0) row["killed_usd"] = trial.killed_usd;
    row["wall_s"] = trial.wall_s;
    if (!trial.reason.empty()) row["reason"] = trial.reason;
    rows.push_back(std::move(row));
  }
  out["search_epochs"] = epochs;
  out["search_cost_usd"] = cost;
  if (killed > 0) out["search_killed_usd"] = killed;
  out["search_wall_s"] = wall_s;
  for (const char* state : {"done", "stopped", "failed", "running"})
    out[fmt::format("trials_{}", state)] = states[state];
  if (const TrialView* best = best_of(search, trials)) {
    out["best_trial"] = best->trial;
    out["options"] = options_json(*best);
    const ordered_json& summary = summary_of(*best);
    for (const auto& [name, value] : summary.items())
      if (name != "job_id" && name != "cost" && !out.contains(name)) out[name] = value;
    for (const Assignment& assignment : best->parameters)
      out[assignment.name] = json_of(assignment.value);
    // Over all its segments, not only the last one.
    out["cost_usd"] = best->cost_usd;
    out["wall_s"] = best->wall_s;
  }
  out["trials"] = std::move(rows);
  return out;
}

}  // namespace lambdaml::tune
