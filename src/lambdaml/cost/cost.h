#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/storage/meter.h"

/// The cost of a job: its use of each store and its functions' running time, at the prices of
/// prices.yaml. Functions are thread-safe; objects are plain values, which any number of threads
/// may read.
namespace lambdaml::cost {

/// By URI scheme.
using UsageByStore = std::map<std::string, storage::Usage>;

/// A JSON object: scheme → requests and bytes by kind, units.
nlohmann::json to_json(const UsageByStore& usage);
/// Throws data_corrupt.
UsageByStore usage_from_json(const nlohmann::json& object);
/// A text would become a JSON string.
UsageByStore usage_from_json(const std::string& text) = delete;
void add(UsageByStore& to, const UsageByStore& more);

/// US dollars.
struct Cost {
  double functions = 0;  ///< GB-seconds and invocations
  double requests = 0;   ///< to the stores
  double servers = 0;    ///< by the hour
  double total() const { return functions + requests + servers; }
};

/// The user's own table, which `lambdaml prices update` writes: lambdaml/prices.yaml in
/// XDG_CONFIG_HOME or ~/.config; empty without a home. It need not exist.
std::filesystem::path own_table();

/// A price table: see prices.yaml for its form.
class Prices {
 public:
  /// region → service → unit → dollars
  using Regions = std::map<std::string, std::map<std::string, std::map<std::string, double>>>;

  /// The file that LAMBDAML_PRICES names, else the user's own table, else built_in(). Throws
  /// not_found, invalid_argument (naming file and entry).
  static Prices current();
  /// The table that comes with the program.
  static Prices built_in();
  /// Throws invalid_argument.
  static Prices parse(std::string_view yaml, const std::string& what);

  /// `region` itself if the table has it, otherwise us-east-1, the cheapest and most common.
  std::string priced_region(const std::string& region) const;
  /// The dollars for requests to stores; a store without prices costs nothing.
  double of_requests(const UsageByStore& usage, const std::string& region) const;
  /// The dollars for one invocation of a function: its duration, rounded up to whole milliseconds,
  /// times its memory (GB of 1,024 MB), plus the invocation. `service` is a row of the table (a
  /// platform's `billed_as`); a missing row costs nothing.
  double of_function(const std::string& service, double seconds, double memory_mb,
                     const std::string& region) const;
  /// The dollars for `seconds` of what `servers` says: see Servers.
  double of_servers(const std::string& servers, double seconds, const std::string& region) const;
  /// The date of the prices, YYYY-MM-DD.
  const std::string& date() const { return date_; }
  /// The file that the table is from, or "built-in".
  const std::string& source() const { return source_; }
  const Regions& regions() const { return regions_; }

 private:
  double price(const std::string& region, const std::string& service,
               const std::string& unit) const;

  std::string date_, source_;
  Regions regions_;
};

/// Servers that run for a job, as the option `servers` has them: "2*cache.t4g.small, 0.05", with a
/// price of the table by the hour or the dollars themselves.
struct Servers {
  double number = 1;
  std::string name;  ///< a row with the unit `hour`; empty: `hour_usd` says it
  double hour_usd = 0;

  /// Throws invalid_argument for what has another form.
  static std::vector<Servers> parse(const std::string& text);
};

}  // namespace lambdaml::cost
