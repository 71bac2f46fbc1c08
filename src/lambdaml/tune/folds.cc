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

ordered_json mean_of_folds(std::span<const ordered_json> summaries) {
  ordered_json out = summaries.front();
  const auto folds = static_cast<double>(summaries.size());
  const model::Plugin& plugin = model::registry().get(text_at(out, "model"));
  for (const model::ReportedMetric& reported : model::reported_metrics(plugin))
    if (out.contains(reported.name))
      out[reported.name] = sum_of(summaries, reported.name.c_str()) / folds;
  for (const char* name : {"cost_usd", "wall_s", "bytes_sent", "bytes_received"})
    if (out.contains(name)) out[name] = sum_of(summaries, name);
  for (const ordered_json& summary : summaries) {
    out["epochs"] = std::max(count_at(out, "epochs"), count_at(summary, "epochs"));
    if (text_at(summary, "ended_by") != "until") out["ended_by"] = text_at(summary, "ended_by");
  }
  out["folds"] = summaries.size();
  return out;
}

}  // namespace lambdaml::tune
