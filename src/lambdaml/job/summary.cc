#include "lambdaml/job/summary.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/faas/host.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/job/quality.h"
#include "lambdaml/job/running_cost.h"
#include "lambdaml/job/worker_stats.h"
#include "lambdaml/model/reporting.h"

namespace lambdaml::job {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

/// Of a report; those of old versions had the first three.
model::Totals totals_from(const json& reported) {
  std::array<double, model::kTotals> numbers{};
  for (std::size_t i = 0; i < std::min(numbers.size(), reported.size()); ++i)
    // JSON cannot represent NaN and infinity.
    numbers[i] = reported.at(i).is_null() ? std::nan("") : reported.at(i).get<double>();
  return model::totals_from(numbers);
}

/// What the workers' reports add up to.
struct Sums {
  model::Totals train, valid, test;
  WorkerStats stats;
  double functions_usd = 0;
  std::uint64_t rounds = 0, epochs = 0, best_epoch = 0;
  std::string ended_by;
  std::vector<std::uint64_t> class_rows;
  std::vector<double> class_weight_sums;
  bool loss_is_log_loss = false;
};

/// Those of old versions have none.
void add_class_rows(const json& report, Sums& sums) {
  const auto counts = report.find("class_rows");
  if (counts == report.end()) return;
  const auto add = [](const json& numbers, auto& to) {
    to.resize(std::max(to.size(), numbers.size()));
    for (std::size_t c = 0; c < numbers.size(); ++c)
      to[c] += numbers.at(c).get<typename std::decay_t<decltype(to)>::value_type>();
  };
  add(*counts, sums.class_rows);
  if (report.contains("class_weight_sums"))
    add(report.at("class_weight_sums"), sums.class_weight_sums);
  sums.loss_is_log_loss = report.value("loss_is_log_loss", false);
}

/// Throws json::exception for a report that is none.
void add_report(const std::string& text, const JobEnd& end, const cost::Prices& prices,
                const std::string& region, Sums& sums) {
  const json report = parse_json(text);
  sums.train += totals_from(report.at("train"));
  sums.valid += totals_from(report.at("valid"));
  sums.test += totals_from(report.at("test"));
  const WorkerStats stats = WorkerStats::from_json(report);
  sums.stats += stats;
  sums.functions_usd += dollars_of_function(stats, end.options, prices, region);
  sums.rounds = std::max(sums.rounds, whole_number(report.at("rounds")));
  sums.epochs = std::max(sums.epochs, whole_number(report.at("epochs")));
  sums.best_epoch = std::max(sums.best_epoch, count_at(report, "best_epoch"));
  add_class_rows(report, sums);
  if (sums.ended_by.empty()) sums.ended_by = report.at("ended_by").get<std::string>();
}

ordered_json requests_json(const cost::UsageByStore& usage) {
  storage::Usage all;
  for (const auto& [scheme, used] : usage) all += used;
  return {{"put", all.put.requests},
          {"get", all.get.requests},
          {"list", all.list.requests},
          {"delete", all.remove.requests}};
}

}  // namespace

double dollars_of_function(const WorkerStats& stats, const Options& options,
                           const cost::Prices& prices, const std::string& region) {
  // The memory that the function has, where it says so: it may be deployed with other memory than
  // the option names.
  const double memory_mb = stats.memory_mb > 0 ? static_cast<double>(stats.memory_mb)
                                               : static_cast<double>(options.integer("memory_mb"));
  const std::string row = billed_as(prices, options.text("platform"), stats.architecture, region);
  return prices.of_function(row, stats.run_s, memory_mb, region) +
         static_cast<double>(stats.invocations - 1) * prices.of_function(row, 0, memory_mb, region);
}

ordered_json summary_of(const JobEnd& end) {
  const cost::Prices prices = cost::Prices::current();
  const std::string region = prices.priced_region(faas::own_region());
  Sums sums;
  cost::UsageByStore usage = end.trigger_usage;
  const auto add_each = [&](std::span<const std::string> reports, const auto& add) {
    for (const std::string& text : reports) try {
        add(text);
      } catch (const json::exception&) {
        fail(Code::data_corrupt, "job {}: '{}' is not what a worker says in the end", end.job_id,
             printable(text, 60));
      }
  };
  add_each(end.reports,
           [&](const std::string& text) { add_report(text, end, prices, region, sums); });
  add_each(end.preparing, [&](const std::string& text) {
    const WorkerStats stats = WorkerStats::from_json(parse_json(text));
    sums.functions_usd += dollars_of_function(stats, end.options, prices, region);
    cost::add(usage, stats.usage);
  });
  ordered_json summary{{"job_id", end.job_id}};
  for (const char* name : {"model", "optim", "sync_mode"}) summary[name] = end.options.text(name);
  summary["channel"] = Uri::parse(end.options.text("channel")).display();
  summary["workers"] = end.options.integer("workers");
  summary["epochs"] = sums.epochs;
  if (sums.best_epoch > 0) summary["best_epoch"] = sums.best_epoch;
  summary["ended_by"] = sums.ended_by;
  summary["rows"] = end.data.rows();
  summary["features"] = end.data.features;
  const model::Plugin& plugin = model::registry()
                                    .get(end.options.text("model"))
                                    .for_job(end.options, end.data.has_integers());
  std::map<std::string, double> values;
  model::add_metrics(plugin, model::RowSet::train, sums.train, true, values);
  model::add_metrics(plugin, model::RowSet::valid, sums.valid, true, values);
  model::add_metrics(plugin, model::RowSet::test, sums.test, true, values);
  for (const model::ReportedMetric& reported : model::reported_metrics(plugin))
    if (values.contains(reported.name)) summary[reported.name] = values[reported.name];
  const double n = end.options.integer("workers");
  summary["wall_s"] = end.wall_s;
  summary["startup_s"] = sums.stats.startup_s / n;
  summary["load_s"] = sums.stats.load_s / n;
  summary["compute_s"] = sums.stats.compute_s / n;
  summary["comm_s"] = sums.stats.comm_s / n;
  summary["invocations"] = sums.stats.invocations;
  summary["rounds"] = sums.rounds;
  cost::add(usage, sums.stats.usage);
  const cost::Cost cost{
      .functions = sums.functions_usd,
      .requests = prices.of_requests(usage, region),
      .servers = prices.of_servers(end.options.text("servers"), end.wall_s, region)};
  summary["requests"] = requests_json(usage);
  summary["bytes_sent"] = sums.stats.bytes_sent;
  summary["bytes_received"] = sums.stats.bytes_received;
  summary["cost_usd"] = cost.total();
  summary["cost"] = {{"functions_usd", cost.functions}, {"requests_usd", cost.requests}};
  if (!end.options.text("servers").empty()) summary["cost"]["servers_usd"] = cost.servers;
  summary["cost"].update(ordered_json{
      {"region", region}, {"prices_of", prices.date()}, {"price_table", prices.source()}});
  summary["warnings"] = warnings_of({.options = end.options,
                                     .data = end.data,
                                     .train = sums.train,
                                     .class_rows = sums.class_rows,
                                     .class_weight_sums = sums.class_weight_sums,
                                     .loss_is_log_loss = sums.loss_is_log_loss,
                                     .epochs = sums.epochs,
                                     .ended_by = sums.ended_by});
  summary["model_path"] = utf8_path(end.model_path.string());
  return summary;
}

}  // namespace lambdaml::job
