#include "lambdaml/dashboard/metrics.h"

#include <nlohmann/json.hpp>

#include "lambdaml/base/json.h"
#include "lambdaml/view/job_metrics.h"

namespace lambdaml::dashboard {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

std::optional<double> number_in(const json& row, const char* name) {
  return row.contains(name) ? std::optional(number_at(row, name)) : std::nullopt;
}

void add_run(const json& row, MetricsText& page) {
  view::JobNumbers job{.job_id = text_at(row, "job_id"), .model = text_at(row, "model")};
  job.epoch = count_at(row, "metrics_epoch");
  job.epochs = count_at(row, "epochs");
  job.workers = count_at(row, "workers");
  job.workers_running =
      count_at(row, "started") - std::min(count_at(row, "started"), count_at(row, "finished"));
  job.elapsed_s = number_at(row, "elapsed_s");
  job.left_s = number_in(row, "left_s");
  job.cost_usd = number_in(row, "cost_so_far_usd");
  if (row.contains("metrics"))
    for (const auto& [name, value] : row["metrics"].items())
      if (value.is_number()) job.metrics[name] = value.get<double>();
  view::add_job(job, page);
}

void add_search(const json& row, MetricsText& page) {
  view::SearchNumbers search{.search_id = text_at(row, "name"), .metric = text_at(row, "metric")};
  for (const char* state : {"done", "stopped", "failed", "running"})
    search.trials[state] = count_at(row, (std::string("trials_") + state).c_str());
  if (row.contains("metrics") && row["metrics"].contains(search.metric))
    search.best = number_at(row["metrics"], search.metric.c_str());
  search.epochs = count_at(row, "search_epochs");
  search.left_s = number_in(row, "left_s");
  search.cost_usd = number_at(row, "cost_so_far_usd");
  view::add_search(search, page);
}

}  // namespace

MetricsText metrics_of(std::span<const ordered_json> rows) {
  MetricsText page;
  std::map<std::pair<std::string, std::string>, std::uint64_t> counts;
  for (const ordered_json& row : rows) ++counts[{text_at(row, "kind"), text_at(row, "state")}];
  for (const auto& [what, count] : counts)
    page.gauge("lambdaml_jobs", "Jobs and searches by state.", static_cast<double>(count),
               {{"kind", what.first}, {"state", what.second}});
  for (const ordered_json& row : rows) {
    if (text_at(row, "state") != "running") continue;
    const json known(row);
    if (text_at(known, "kind") == "run")
      add_run(known, page);
    else
      add_search(known, page);
  }
  return page;
}

}  // namespace lambdaml::dashboard
