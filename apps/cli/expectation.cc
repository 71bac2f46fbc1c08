#include "apps/cli/expectation.h"

#include <cmath>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/cost/cost.h"
#include "lambdaml/faas/host.h"

namespace lambdaml::cli {
namespace {

/// "3 % more"; empty if there is nothing to compare.
std::string deviation_text(double was, double expected, const char* more, const char* less) {
  if (expected <= 0) return {};
  const double percent = 100 * (was / expected - 1);
  return fmt::format("{:.0f} % {}", std::abs(percent), percent < 0 ? less : more);
}

}  // namespace

void Expectation::require_within(const Options& job, const std::string& advice) const {
  const double budget = job.real("budget");
  if (budget <= 0) return;
  // As while it runs: of servers by the hour, those that the job names.
  const double bill =
      usd_p90 - servers_usd +
      cost::Prices::current().of_servers(job.text("servers"), seconds_p90, faas::own_region());
  if (bill <= budget) return;
  fail(Code::invalid_argument,
       "train: by {} the job costs ${:.3g}, above its budget of ${:.3g}; {}", by, bill, budget,
       advice);
}

std::string Expectation::text() const {
  const std::string spread =
      seconds_p10 < seconds_p90
          ? fmt::format(" ({} to {})", human_seconds(seconds_p10), human_seconds(seconds_p90))
          : "";
  return fmt::format("{}{}, ${:.3g} over {}, by {}", human_seconds(seconds), spread, usd, channel,
                     by);
}

std::string Expectation::compare(nlohmann::ordered_json& summary) const {
  summary["estimate"] = {{"seconds", seconds}, {"usd", usd}, {"servers_usd", servers_usd}};
  const nlohmann::json all = summary;
  const double billed_usd = usd - servers_usd;
  std::vector<std::string> deviations;
  const auto add = [&](std::string text) {
    if (!text.empty()) deviations.push_back(std::move(text));
  };
  add(deviation_text(number_at(all, "wall_s"), seconds, "longer", "shorter"));
  if (all.contains("cost") && all["cost"].is_object()) {
    const nlohmann::json& cost = all["cost"];
    const double servers_usd = cost.contains("servers_usd") ? number_at(cost, "servers_usd") : 0;
    add(deviation_text(number_at(all, "cost_usd") - servers_usd, billed_usd, "more expensive",
                       "cheaper"));
  }
  std::string expected = fmt::format("{} and ${:.3g}", human_seconds(seconds), billed_usd);
  if (servers_usd > 0) expected += fmt::format(" (and ${:.3g} for servers)", servers_usd);
  if (deviations.empty()) return expected + " were expected";
  return fmt::format("{} than the expected {}", join(deviations, ", "), expected);
}

}  // namespace lambdaml::cli
