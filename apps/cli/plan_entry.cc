#include "apps/cli/plan_entry.h"

#include <yaml-cpp/yaml.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/formats/yaml.h"
#include "lambdaml/base/text.h"

namespace lambdaml::cli {
namespace {

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
    Expectation& expected = out.expectation_;
    expected.channel = entry["channel"].as<std::string>();
    expected.by = place;
    const auto at = [&](const char* name, const char* quantile) {
      return entry[name][quantile].as<double>();
    };
    expected.seconds = at("seconds", "p50");
    expected.seconds_p10 = at("seconds", "p10");
    expected.seconds_p90 = at("seconds", "p90");
    expected.usd = at("usd", "p50");
    expected.usd_p90 = at("usd", "p90");
    if (entry["servers_usd"]) expected.servers_usd = entry["servers_usd"].as<double>();
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

}  // namespace lambdaml::cli
