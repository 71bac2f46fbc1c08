#include "apps/cli/summary.h"

#include <map>
#include <vector>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"
#include "lambdaml/model/reporting.h"

namespace lambdaml::cli {

namespace {

/// Prints a line per set of rows: `valid     NAME VALUE, NAME VALUE`. For a model that holds no
/// rows out, a line per metric.
void print_metrics(const nlohmann::json& summary) {
  const model::Plugin* plugin = model::registry().find(text_at(summary, "model"));
  if (plugin == nullptr) return;  // this build has it not
  std::map<std::string, std::string> by_set;
  std::vector<std::string> lines;
  for (const model::ReportedMetric& reported : model::epoch_metrics(*plugin)) {
    if (!summary.contains(reported.name)) continue;
    const std::string value = reported.metric.shown(number_at(summary, reported.name.c_str()));
    if (reported.has_prefix) {
      std::string& line = by_set[model::name_of(reported.rows)];
      line += fmt::format("{}{} {}", line.empty() ? "" : ", ", reported.metric.name, value);
    } else {
      lines.push_back(fmt::format("{:<9} {}", reported.metric.name, value));
    }
  }
  for (const char* set : {"train", "valid", "test"})
    if (by_set.contains(set)) lines.push_back(fmt::format("{:<9} {}", set, by_set[set]));
  for (const std::string& line : lines) print_line(line);
}

}  // namespace

void tell_warnings(const nlohmann::ordered_json& summary) {
  if (const auto warnings = summary.find("warnings"); warnings != summary.end())
    for (const auto& warning : *warnings)
      if (warning.is_string()) log::warning("{}", warning.get<std::string>());
}

void print_summary(const nlohmann::ordered_json& all, const Globals& globals) {
  if (globals.json) return print_json(json_text(all));
  const nlohmann::json summary = all;
  const auto number = [&](const char* name) { return number_at(summary, name); };
  print_line(fmt::format("{} by {} over {}, {} workers, {} epochs of {} rows, {} features",
                         text_at(summary, "model"), text_at(summary, "optim"),
                         text_at(summary, "sync_mode"), count_at(summary, "workers"),
                         count_at(summary, "epochs"), human_count(count_at(summary, "rows")),
                         human_count(count_at(summary, "features"))));
  print_line(fmt::format(
      "time      {}: start-up {}, load {}, compute {}, communication {} (means over workers)",
      human_seconds(number("wall_s")), human_seconds(number("startup_s")),
      human_seconds(number("load_s")), human_seconds(number("compute_s")),
      human_seconds(number("comm_s"))));
  print_metrics(summary);
  if (summary.contains("cost") && summary["cost"].is_object()) {
    const nlohmann::json& cost = summary["cost"];
    const std::string table = text_at(cost, "price_table", "built-in");
    print_line(fmt::format(
        "cost      ${:.4g}: functions ${:.4g}, requests ${:.4g}{} (list prices of {}{})",
        number("cost_usd"), number_at(cost, "functions_usd"), number_at(cost, "requests_usd"),
        cost.contains("servers_usd")
            ? fmt::format(", servers ${:.4g}", number_at(cost, "servers_usd"))
            : "",
        text_at(cost, "prices_of"), table == "built-in" ? "" : ", " + table));
  }
  if (const std::string by = text_at(summary, "ended_by", "epochs"); by != "epochs")
    print_line("ended by  " + by);
  print_line(fmt::format("model     {}", text_at(summary, "model_path")));
}

}  // namespace lambdaml::cli
