#include "lambdaml/model/reporting.h"

#include <algorithm>

#include "lambdaml/base/text.h"

namespace lambdaml::model {
const char* name_of(RowSet rows) {
  switch (rows) {
    case RowSet::train:
      return "train";
    case RowSet::valid:
      return "valid";
    case RowSet::test:
      break;
  }
  return "test";
}

std::vector<ReportedMetric> reported_metrics(const Plugin& plugin) {
  std::vector<ReportedMetric> out;
  for (const RowSet rows : {RowSet::train, RowSet::valid, RowSet::test}) {
    if (rows == RowSet::valid && !plugin.needs_labels) continue;
    const bool has_prefix = plugin.needs_labels || rows != RowSet::train;
    for (const Metric& metric : plugin.metrics) {
      const bool is_known = rows != RowSet::train || !metric.of_evaluation;
      out.push_back(
          {.name = has_prefix ? fmt::format("{}_{}", name_of(rows), metric.name) : metric.name,
           .rows = rows,
           .metric = metric,
           .is_first = &metric == &plugin.metrics.front(),
           .has_prefix = has_prefix,
           .each_epoch = is_known && (plugin.needs_labels || rows == RowSet::train)});
    }
  }
  return out;
}

std::vector<ReportedMetric> epoch_metrics(const Plugin& plugin) {
  std::vector<ReportedMetric> out = reported_metrics(plugin);
  std::erase_if(out, [](const ReportedMetric& reported) { return !reported.each_epoch; });
  return out;
}

std::vector<ReportedMetric> epoch_metrics() {
  std::vector<ReportedMetric> out;
  for (const Plugin& plugin : registry().entries())
    for (ReportedMetric& reported : epoch_metrics(plugin))
      if (std::ranges::none_of(out, [&](const auto& other) { return other.name == reported.name; }))
        out.push_back(std::move(reported));
  return out;
}

const ReportedMetric* find(const std::vector<ReportedMetric>& metrics, std::string_view name) {
  const auto found = std::ranges::find(metrics, name, &ReportedMetric::name);
  return found == metrics.end() ? nullptr : &*found;
}

std::string describe_epoch_metrics(const Plugin& plugin) {
  std::vector<std::string> names;
  for (const ReportedMetric& reported : epoch_metrics(plugin)) names.push_back(reported.name);
  return fmt::format("the metric{} {}", names.size() == 1 ? "" : "s", join(names, ", "));
}

void add_metrics(const Plugin& plugin, RowSet rows, const Totals& totals, bool evaluated,
                 std::map<std::string, double>& values) {
  if (totals.rows <= 0) return;
  for (const ReportedMetric& reported : reported_metrics(plugin))
    if (reported.rows == rows && (evaluated || !reported.metric.of_evaluation))
      if (const std::optional<double> value = reported.metric.of(totals))
        values[reported.name] = *value;
}

}  // namespace lambdaml::model
