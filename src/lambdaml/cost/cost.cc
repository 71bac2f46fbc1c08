#include "lambdaml/cost/cost.h"

#include <cmath>
#include <cstdlib>

#include <nlohmann/json.hpp>
#include <yaml-cpp/yaml.h>

#include "lambdaml/base/environment.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/formats/yaml.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"

namespace lambdaml::cost {

/// The contents of prices.yaml, embedded by the build.
extern const char* const kPricesYaml;

namespace {

using nlohmann::json;
using storage::Usage;

constexpr const char* kFallbackRegion = "us-east-1";

struct KindName {
  const char* name;
  Usage::Kind Usage::*kind;
};
constexpr KindName kKinds[] = {
    {"put", &Usage::put}, {"get", &Usage::get}, {"list", &Usage::list}, {"delete", &Usage::remove}};
struct UnitName {
  const char* name;
  double Usage::*units;
};
constexpr UnitName kUnits[] = {{"write_unit", &Usage::write_units},
                               {"read_unit", &Usage::read_units}};

}  // namespace

json to_json(const UsageByStore& usage) {
  json object = json::object();
  for (const auto& [scheme, used] : usage) {
    json& store = object[scheme];
    for (const auto& [name, kind] : kKinds)
      store[name] = {{"requests", (used.*kind).requests}, {"bytes", (used.*kind).bytes}};
    for (const auto& [name, units] : kUnits) store[name] = used.*units;
  }
  return object;
}

UsageByStore usage_from_json(const json& object) {
  UsageByStore out;
  try {
    for (const auto& [scheme, store] : object.items()) {
      Usage& used = out[scheme];
      for (const auto& [name, kind] : kKinds)
        used.*kind = {whole_number(store.at(name).at("requests")),
                      whole_number(store.at(name).at("bytes"))};
      for (const auto& [name, units] : kUnits) used.*units = store.at(name).get<double>();
    }
  } catch (const json::exception& error) {
    fail(Code::data_corrupt, "usage: not what a worker reports: {}", printable(error.what()));
  }
  return out;
}

void add(UsageByStore& to, const UsageByStore& more) {
  for (const auto& [scheme, used] : more) to[scheme] += used;
}

std::filesystem::path own_table() {
  if (const auto folder = environment_variable("XDG_CONFIG_HOME"))
    return std::filesystem::path(*folder) / "lambdaml/prices.yaml";
  if (const auto home = environment_variable("HOME"))
    return std::filesystem::path(*home) / ".config/lambdaml/prices.yaml";
  return {};
}

Prices Prices::current() {
  if (const std::optional<std::string> path = environment_variable("LAMBDAML_PRICES")) {
    const std::optional<Buffer> text = read_file(*path);
    if (!text) fail(Code::not_found, "LAMBDAML_PRICES={}: no such file", *path);
    return parse(text->text(), *path);
  }
  const std::filesystem::path own = own_table();
  // A HOME that another user has closed has no table of this one.
  std::error_code hidden;
  if (!own.empty() && std::filesystem::exists(own, hidden))
    if (const std::optional<Buffer> text = read_file(own)) return parse(text->text(), own.string());
  return built_in();
}

Prices Prices::built_in() { return parse(kPricesYaml, "built-in"); }

Prices Prices::parse(std::string_view yaml, const std::string& what) {
  Prices out;
  out.source_ = what;
  try {
    const YAML::Node root = load_yaml(yaml, what);
    if (!root.IsMap() || !root["date"] || !root["regions"] || !root["regions"].IsMap())
      fail(Code::invalid_argument, "{}: no table of prices: it has a date and regions", what);
    out.date_ = root["date"].as<std::string>();
    for (const auto& region : root["regions"])
      for (const auto& service : region.second)
        for (const auto& unit : service.second) {
          const auto dollars = unit.second.as<double>();
          if (!(dollars >= 0) || !std::isfinite(dollars))
            fail(Code::invalid_argument, "{}:{}: a price must be a number from 0", what,
                 unit.second.Mark().line + 1);
          out.regions_[region.first.as<std::string>()][service.first.as<std::string>()]
                      [unit.first.as<std::string>()] = dollars;
        }
  } catch (const YAML::Exception& error) {
    fail(Code::invalid_argument, "{}:{}: {}", what, error.mark.line + 1, printable(error.msg));
  }
  if (!out.regions_.contains(kFallbackRegion))
    fail(Code::invalid_argument, "{}: it has no prices of {}", what, kFallbackRegion);
  return out;
}

std::string Prices::priced_region(const std::string& region) const {
  return regions_.contains(region) ? region : kFallbackRegion;
}

double Prices::price(const std::string& region, const std::string& service,
                     const std::string& unit) const {
  const auto& services = regions_.at(priced_region(region));
  const auto units = services.find(service);
  if (units == services.end()) return 0;
  const auto dollars = units->second.find(unit);
  return dollars == units->second.end() ? 0 : dollars->second;
}

double Prices::of_requests(const UsageByStore& usage, const std::string& region) const {
  double dollars = 0;
  for (const auto& [scheme, used] : usage) {
    for (const auto& [name, kind] : kKinds)
      dollars += static_cast<double>((used.*kind).requests) * price(region, scheme, name);
    for (const auto& [name, units] : kUnits) dollars += used.*units * price(region, scheme, name);
  }
  return dollars;
}

double Prices::of_function(const std::string& service, double seconds, double memory_mb,
                           const std::string& region) const {
  const double billed_s = std::ceil(seconds * 1000) / 1000;
  return billed_s * memory_mb / 1024 * price(region, service, "gb_second") +
         price(region, service, "request");
}

double Prices::of_servers(const std::string& servers, double seconds,
                          const std::string& region) const {
  double dollars_per_hour = 0;
  for (const Servers& some : Servers::parse(servers)) {
    double hour = some.hour_usd;
    if (!some.name.empty()) {
      const auto& services = regions_.at(priced_region(region));
      const auto found = services.find(some.name);
      if (found == services.end() || !found->second.contains("hour"))
        fail(Code::invalid_argument,
             "--servers {}: the price table of {} ({}) has no price by the hour for it; give the "
             "dollars instead, 2*0.05",
             printable(some.name), priced_region(region), source_);
      hour = found->second.at("hour");
    }
    dollars_per_hour += some.number * hour;
  }
  return dollars_per_hour * seconds / 3600;
}

std::vector<Servers> Servers::parse(const std::string& text) {
  std::vector<Servers> all;
  if (trim(text).empty()) return all;
  for (const std::string& part : split(text, ',')) {
    Servers one;
    one.name = trim(part);
    bool is_valid = true;
    if (const std::size_t star = one.name.find('*'); star != std::string::npos) {
      const auto number = to_integer(trim(std::string_view(one.name).substr(0, star)));
      is_valid = number && *number >= 1 && *number <= 1'000'000;
      one.number = number ? static_cast<double>(*number) : 0;
      one.name = std::string(trim(std::string_view(one.name).substr(star + 1)));
    }
    if (const std::optional<double> dollars = to_real(one.name)) {
      is_valid &= *dollars >= 0 && *dollars <= 1e6;
      one.hour_usd = *dollars;
      one.name.clear();
    } else {
      is_valid &= !one.name.empty() && one.name.find('*') == std::string::npos;
    }
    if (!is_valid)
      fail(Code::invalid_argument,
           "--servers '{}': give NUMBER*NAME with a name of the price table, or "
           "NUMBER*DOLLARS-PER-HOUR, several with commas: 2*cache.t4g.small",
           printable(text));
    all.push_back(std::move(one));
  }
  return all;
}

}  // namespace lambdaml::cost
