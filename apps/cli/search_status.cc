#include "apps/cli/search_status.h"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "apps/cli/moment.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"

namespace lambdaml::cli {
namespace {

using nlohmann::json;

std::string trials_of_search(const json& search) {
  std::string text;
  for (const char* state : {"done", "stopped", "failed", "running"})
    if (const std::uint64_t count = count_at(search, fmt::format("trials_{}", state).c_str()))
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, state);
  return text.empty() ? "none has begun" : text;
}

}  // namespace

std::string dollars_of(const json& known) {
  if (known.contains("cost_usd")) return fmt::format("${:.3g}", number_at(known, "cost_usd"));
  if (!known.contains("cost_so_far_usd")) return "";
  const std::string so_far = fmt::format("~${:.3g}", number_at(known, "cost_so_far_usd"));
  return known.contains("cost_usd_at_end")
             ? fmt::format("{} of ${:.3g}", so_far, number_at(known, "cost_usd_at_end"))
             : so_far;
}

std::string best_of_search(const json& search) {
  const std::string metric = text_at(search, "metric");
  if (!search.contains("best_trial") || !search.contains(metric)) return "";
  return fmt::format("{} {:.5g} (trial {})", metric, number_at(search, metric.c_str()),
                     count_at(search, "best_trial"));
}

std::string best_options_of_search(const json& search) {
  std::string values;
  if (search.contains("options"))
    for (const auto& [name, value] : search["options"].items())
      values += fmt::format("{}{}={}", values.empty() ? "" : " ", name,
                            value.is_number_float() ? fmt::format("{:.4g}", value.get<double>())
                            : value.is_string()     ? value.get<std::string>()
                                                    : json_text(value));
  return values;
}

std::vector<std::string> lines_of_search(const json& search) {
  std::vector<std::string> lines;
  const auto add = [&](const char* name, const std::string& text) {
    if (!text.empty()) lines.push_back(fmt::format("{:<9} {}", name, text));
  };
  lines.push_back(fmt::format("{}: {}", text_at(search, "search_id"), text_at(search, "state")));
  lines.push_back(fmt::format("search by {}, metric {}", text_at(search, "strategy"),
                              text_at(search, "metric")));
  if (search.contains("advice")) lines.push_back(text_at(search, "advice"));
  add("trials", trials_of_search(search));
  add("epochs", fmt::format("{} of all trials", count_at(search, "search_epochs")));
  add("best", best_of_search(search));
  add("", best_options_of_search(search));
  if (search.contains("begun_ms")) add("begun", local_time(count_at(search, "begun_ms")));
  std::string time;
  if (const double worked_s = number_at(search, "search_wall_s"); worked_s > 0)
    time = human_seconds(worked_s) + (text_at(search, "state") == "done" ? "" : " so far");
  if (search.contains("left_s"))
    time += fmt::format("{}about {} left", time.empty() ? "" : ", ",
                        human_seconds(number_at(search, "left_s")));
  add("time", time);
  if (search.contains("cost_so_far_usd"))
    add("cost",
        fmt::format("about ${:.3g} so far{}", number_at(search, "cost_so_far_usd"),
                    search.contains("cost_usd_at_end")
                        ? fmt::format(", ${:.3g} at the end", number_at(search, "cost_usd_at_end"))
                        : ""));
  else if (search.contains("search_cost_usd"))
    add("cost", fmt::format("${:.3g} of all trials", number_at(search, "search_cost_usd")));
  if (search.contains("search_killed_usd"))
    add("", fmt::format("about ${:.3g} of it for jobs that were killed",
                        number_at(search, "search_killed_usd")));
  return lines;
}

}  // namespace lambdaml::cli
