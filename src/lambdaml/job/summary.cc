#include "lambdaml/job/summary.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/faas/host.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/job/worker_stats.h"
#include "lambdaml/model/reporting.h"

namespace lambdaml::job {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

model::Totals totals_from(const json& triple) {
  const auto number = [&](std::size_t i) {
    // JSON cannot represent NaN and infinity.
    return triple.at(i).is_null() ? std::nan("") : triple.at(i).get<double>();
  };
  return {number(0), number(1), number(2)};
}

}  // namespace

ordered_json summary_of(const JobEnd& end) {
  model::Totals train, valid, test;
  WorkerStats all_figures;
  const cost::Prices prices = cost::Prices::current();
  const std::string region = prices.priced_region(faas::own_region());
  const std::string& billed_as = faas::registry().get(end.options.text("platform")).billed_as;
  cost::Cost cost;
  std::uint64_t rounds = 0, epochs = 0;
  std::string ended_by;
  for (const std::string& text : end.reports) try {
      const json report = parse_json(text);
      train += totals_from(report.at("train"));
      valid += totals_from(report.at("valid"));
      test += totals_from(report.at("test"));
      const WorkerStats figures = WorkerStats::from_json(text);
      all_figures += figures;
      // Uses the deployed function's memory if known: it may differ from the requested one.
      const double memory_mb = figures.memory_mb > 0
                                   ? static_cast<double>(figures.memory_mb)
                                   : static_cast<double>(end.options.integer("memory_mb"));
      cost.functions += prices.of_function(billed_as, figures.run_s, memory_mb, region) +
                        static_cast<double>(figures.invocations - 1) *
                            prices.of_function(billed_as, 0, memory_mb, region);
      rounds = std::max(rounds, report.at("rounds").get<std::uint64_t>());
      epochs = std::max(epochs, report.at("epochs").get<std::uint64_t>());
      if (ended_by.empty()) ended_by = report.at("ended_by").get<std::string>();
    } catch (const json::exception&) {
      fail(Code::data_corrupt, "job {}: '{}' is not what a worker says in the end", end.job_id,
           printable(text, 60));
    }
  ordered_json summary{{"job_id", end.job_id}};
  for (const char* name : {"model", "optim", "sync_mode"}) summary[name] = end.options.text(name);
  summary["channel"] = Uri::parse(end.options.text("channel")).display();
  summary["workers"] = end.options.integer("workers");
  summary["epochs"] = epochs;
  summary["ended_by"] = ended_by;
  summary["rows"] = end.data.rows();
  summary["features"] = end.data.features;
  const model::Plugin& plugin = model::registry().get(end.options.text("model"));
  std::map<std::string, double> values;
  model::add_metrics(plugin, model::RowSet::train, train, values);
  model::add_metrics(plugin, model::RowSet::valid, valid, values);
  model::add_metrics(plugin, model::RowSet::test, test, values);
  for (const model::ReportedMetric& reported : model::reported_metrics(plugin))
    if (values.contains(reported.name)) summary[reported.name] = values[reported.name];
  const double n = end.options.integer("workers");
  summary["wall_s"] = end.wall_s;
  summary["startup_s"] = all_figures.startup_s / n;
  summary["load_s"] = all_figures.load_s / n;
  summary["compute_s"] = all_figures.compute_s / n;
  summary["comm_s"] = all_figures.comm_s / n;
  summary["invocations"] = all_figures.invocations;
  summary["rounds"] = rounds;
  cost::UsageByStore usage = end.trigger_usage;
  cost::add(usage, all_figures.usage);
  cost.requests = prices.of_requests(usage, region);
  storage::Usage all;
  for (const auto& [scheme, used] : usage) all += used;
  summary["requests"] = {{"put", all.put.requests},
                         {"get", all.get.requests},
                         {"list", all.list.requests},
                         {"delete", all.remove.requests}};
  summary["bytes_sent"] = all_figures.bytes_sent;
  summary["bytes_received"] = all_figures.bytes_received;
  summary["cost_usd"] = cost.total();
  summary["cost"] = {{"functions_usd", cost.functions},
                     {"requests_usd", cost.requests},
                     {"region", region},
                     {"prices_of", prices.date()}};
  summary["model_path"] = end.model_path.string();
  return summary;
}

}  // namespace lambdaml::job
