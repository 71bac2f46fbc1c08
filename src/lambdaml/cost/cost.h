#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

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
  double total() const { return functions + requests; }
};

/// A price table: see prices.yaml for its form.
class Prices {
 public:
  /// The table that comes with the program, or the file that LAMBDAML_PRICES names. Throws
  /// not_found, invalid_argument (naming file and entry).
  static Prices current();
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
  /// The date of the prices, YYYY-MM-DD.
  const std::string& date() const { return date_; }

 private:
  double price(const std::string& region, const std::string& service,
               const std::string& unit) const;

  std::string date_;
  /// region → service → unit → dollars
  std::map<std::string, std::map<std::string, std::map<std::string, double>>> regions_;
};

}  // namespace lambdaml::cost
