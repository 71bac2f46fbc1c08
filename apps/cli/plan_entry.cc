#include "apps/cli/plan_entry.h"

#include <cmath>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>
#include <yaml-cpp/yaml.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/formats/yaml.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/job/options.h"

namespace lambdaml::cli {
namespace {

/// "3 % more"; empty if there is nothing to compare.
std::string deviation_text(double was, double expected, const char* more, const char* less) {
  if (expected <= 0) return {};
  const double percent = 100 * (was / expected - 1);
  return fmt::format("{:.0f} % {}", std::abs(percent), percent < 0 ? less : more);
}

YAML::Node entry_of(const YAML::Node& entries, std::size_t number, const std::string& file) {
  if (number > entries.size())
    fail(Code::invalid_argument, "{}: the plan has {} entries, no entry {}", file, entries.size(),
         number);
  if (number > 0) return entries[number - 1];
  for (const YAML::Node& one : entries)
    if (one.IsMap() && one["best"] && one["best"].as<bool>(false)) return one;
  fail(Code::invalid_argument,
       "{}: nothing in this plan meets its limits; choose an entry: --plan {}:N", file, file);
}

}  // namespace

PlanEntry PlanEntry::read(const std::string& place) {
  std::string file = place;
  std::size_t number = 0;
  if (const std::size_t colon = place.rfind(':'); colon != std::string::npos)
    if (const auto n = to_integer(place.substr(colon + 1)); n && *n > 0) {
      number = static_cast<std::size_t>(*n);
      file.resize(colon);
    }
  const std::optional<Buffer> bytes = read_file(file);
  if (!bytes) fail(Code::not_found, "plan {}: there is no such file", file);
  PlanEntry out;
  out.place_ = place;
  const YAML::Node root = load_yaml(bytes->text(), file);
  try {
    const YAML::Node entries = root["plan"];
    if (!entries || !entries.IsSequence() || entries.size() == 0)
      fail(Code::invalid_argument, "{}: it is no plan; lambdaml plan writes one", file);
    const YAML::Node entry = entry_of(entries, number, file);
    out.channel_ = entry["channel"].as<std::string>();
    const auto at = [&](const char* name, const char* quantile) {
      return entry[name][quantile].as<double>();
    };
    out.seconds_ = at("seconds", "p50");
    out.seconds_p10_ = at("seconds", "p10");
    out.seconds_p90_ = at("seconds", "p90");
    out.usd_ = at("usd", "p50");
    out.usd_p90_ = at("usd", "p90");
    if (entry["servers_usd"]) out.servers_usd_ = entry["servers_usd"].as<double>();
    for (const auto& option : entry["options"])
      out.options_[option.first.as<std::string>()] = option.second.as<std::string>();
  } catch (const YAML::Exception& error) {
    fail(Code::invalid_argument, "{}: it is no plan of lambdaml plan: {}", file, error.msg);
  }
  return out;
}

void PlanEntry::apply_to(Options& typed) const {
  for (const auto& [name, value] : options_)
    if (!typed.is_set(name)) typed.parse(name, value, place_);
}

void PlanEntry::require_within(const Options& job) const {
  const double budget = job.real("budget");
  if (budget <= 0 || usd_p90_ <= budget) return;
  fail(Code::invalid_argument,
       "train: by {} the job costs ${:.3g}, above its budget of ${:.3g}; choose another entry or "
       "raise --budget",
       place_, usd_p90_, budget);
}

std::string PlanEntry::text() const {
  return fmt::format("{} ({} to {}), ${:.3g} over {}, by {}", human_seconds(seconds_),
                     human_seconds(seconds_p10_), human_seconds(seconds_p90_), usd_, channel_,
                     place_);
}

std::string PlanEntry::compare(nlohmann::ordered_json& summary) const {
  summary["estimate"] = {{"seconds", seconds_}, {"usd", usd_}, {"servers_usd", servers_usd_}};
  const nlohmann::json all = summary;
  const double billed_usd = usd_ - servers_usd_;
  std::vector<std::string> deviations;
  const auto add = [&](std::string text) {
    if (!text.empty()) deviations.push_back(std::move(text));
  };
  add(deviation_text(number_at(all, "wall_s"), seconds_, "longer", "shorter"));
  if (all.contains("cost") && all["cost"].is_object())
    add(deviation_text(number_at(all, "cost_usd"), billed_usd, "more expensive", "cheaper"));
  std::string planned = fmt::format("{} and ${:.3g}", human_seconds(seconds_), billed_usd);
  if (servers_usd_ > 0) planned += fmt::format(" (and ${:.3g} for servers)", servers_usd_);
  if (deviations.empty()) return planned + " were planned";
  return fmt::format("{} than {}, as planned", join(deviations, ", "), planned);
}

}  // namespace lambdaml::cli
