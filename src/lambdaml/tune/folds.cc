#include "lambdaml/tune/folds.h"

#include <algorithm>
#include <cmath>
#include <string>

#include <nlohmann/json.hpp>

#include "lambdaml/base/json.h"
#include "lambdaml/model/reporting.h"

namespace lambdaml::tune {
namespace {

using nlohmann::ordered_json;

double sum_of(std::span<const ordered_json> summaries, const char* name) {
  double sum = 0;
  for (const ordered_json& summary : summaries) sum += number_at(summary, name);
  return sum;
}

}  // namespace

std::map<std::string, double> mean_metrics(std::span<const ordered_json> summaries) {
  std::map<std::string, double> out;
  const ordered_json& first = summaries.front();
  const model::Plugin* const plugin = model::registry().find(text_at(first, "model"));
  if (plugin == nullptr) return out;
  for (const model::ReportedMetric& reported : model::reported_metrics(*plugin))
    if (first.contains(reported.name))
      out[reported.name] =
          sum_of(summaries, reported.name.c_str()) / static_cast<double>(summaries.size());
  return out;
}

ordered_json mean_of_folds(std::span<const ordered_json> summaries) {
  ordered_json out = summaries.front();
  ordered_json values = ordered_json::object();
  for (const auto& [name, mean] : mean_metrics(summaries)) {
    out[name] = mean;
    for (const ordered_json& summary : summaries) {
      const auto value = summary.find(name);
      values[name].push_back(value != summary.end() ? *value : ordered_json());
    }
  }
  for (const char* name : {"cost_usd", "wall_s", "bytes_sent", "bytes_received"})
    if (out.contains(name)) out[name] = sum_of(summaries, name);
  for (const ordered_json& summary : summaries) {
    out["epochs"] = std::max(count_at(out, "epochs"), count_at(summary, "epochs"));
    if (text_at(summary, "ended_by") != "until") out["ended_by"] = text_at(summary, "ended_by");
  }
  out["folds"] = summaries.size();
  out["fold_values"] = std::move(values);
  return out;
}

}  // namespace lambdaml::tune
