#include "apps/cli/summary.h"

#include <map>
#include <utility>
#include <vector>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"
#include "lambdaml/model/reporting.h"

namespace lambdaml::cli {

namespace {

/// Prints `head` and `text` in lines of 80 columns, broken after commas and colons, the lines after
/// the first indented as deep as values are.
void print_list(const std::string& head, const std::string& text) {
  constexpr std::size_t kIndent = 10, kColumns = 80;
  std::string line = head;
  bool is_empty = true;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = text.find(' ', begin);
    while (end != std::string::npos &&
           (end == begin || (text[end - 1] != ',' && text[end - 1] != ':')))
      end = text.find(' ', end + 1);
    const std::string part = text.substr(begin, end - begin);
    if (!is_empty && columns_of(line) + 1 + columns_of(part) > kColumns) {
      print_line(line);
      line.assign(kIndent, ' ');
      is_empty = true;
    }
    line += (is_empty ? "" : " ") + part;
    is_empty = false;
    begin = end == std::string::npos ? text.size() : end + 1;
  }
  print_line(line);
}

void print_row(const std::string& name, const std::string& text) {
  print_list(fmt::format("{:<9} ", name), text);
}

/// The parts of the time add up: means over workers, and what was before and after the workers, or
/// while the last of them worked on.
std::string time_text(const nlohmann::json& summary) {
  const auto number = [&](const char* name) { return number_at(summary, name); };
  const double wall_s = number("wall_s");
  const double rest_s =
      wall_s - number("startup_s") - number("load_s") - number("compute_s") - number("comm_s");
  std::string text = fmt::format(
      "{}: means over workers: start-up {}, load {}, compute and checkpoints {}, communication {}",
      human_seconds(wall_s), human_seconds(number("startup_s")), human_seconds(number("load_s")),
      human_seconds(number("compute_s")), human_seconds(number("comm_s")));
  // A run that was resumed has workers of several commands, and the time of the last one.
  if (rest_s > 0) text += fmt::format(", and {} before and after them", human_seconds(rest_s));
  return text;
}

/// Prints a line per set of rows: `valid     NAME VALUE, NAME VALUE`. For a model that holds no
/// rows out, a line per metric.
void print_metrics(const nlohmann::json& summary) {
  const model::Plugin* plugin = model::registry().find(text_at(summary, "model"));
  if (plugin == nullptr) return;  // this build has it not
  std::map<std::string, std::string> by_set;
  std::vector<std::pair<std::string, std::string>> lines;
  for (const model::ReportedMetric& reported : model::epoch_metrics(*plugin)) {
    if (!summary.contains(reported.name)) continue;
    const std::string value = reported.metric.shown(number_at(summary, reported.name.c_str()));
    if (reported.has_prefix) {
      std::string& line = by_set[model::name_of(reported.rows)];
      line += fmt::format("{}{} {}", line.empty() ? "" : ", ", reported.metric.name, value);
    } else {
      lines.emplace_back(reported.metric.name, value);
    }
  }
  for (const char* set : {"train", "valid", "test"})
    if (by_set.contains(set)) lines.emplace_back(set, by_set[set]);
  for (const auto& [name, text] : lines) print_row(name, text);
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
  print_list("", fmt::format("{} by {} over {}, {} workers, {} epochs of {} rows, {} features",
                             text_at(summary, "model"), text_at(summary, "optim"),
                             text_at(summary, "sync_mode"), count_at(summary, "workers"),
                             count_at(summary, "epochs"), human_count(count_at(summary, "rows")),
                             human_count(count_at(summary, "features"))));
  print_row("time", time_text(summary));
  print_metrics(summary);
  if (summary.contains("cost") && summary["cost"].is_object()) {
    const nlohmann::json& cost = summary["cost"];
    const std::string table = text_at(cost, "price_table", "built-in");
    print_row("cost",
              fmt::format("${:.4g}: functions ${:.4g}, requests ${:.4g}{} (list prices of {}{})",
                          number_at(summary, "cost_usd"), number_at(cost, "functions_usd"),
                          number_at(cost, "requests_usd"),
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
