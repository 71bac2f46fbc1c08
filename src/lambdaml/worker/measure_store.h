#pragma once

#include <cstddef>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/storage/meter.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::storage {
struct Plugin;
}

namespace lambdaml::worker {

/// What requests to a store take from where this process runs.
struct StoreMeasure {
  /// Seconds of each request, about small values.
  std::vector<double> puts, gets, lists, removes;
  double put_per_s = 0, get_per_s = 0;  ///< bytes a second of one connection; 0: not measured
  /// Of batches of keys, requests that are under way at once, or that fit the time of one.
  double parallel = 1, put_parallel = 1, remove_parallel = 1;
  bool pushes = false;  ///< a wait ends when the value is saved, without polls
  bool adds = false;    ///< it adds up workers' vectors itself
  std::size_t requests = 0;
  std::optional<std::string> ended_by;  ///< the error that ended it early

  /// A JSON object whose keys are the names above, with at most some hundred quantiles for the
  /// times of each kind.
  nlohmann::json to_json() const;
  /// Throws data_corrupt.
  static StoreMeasure from_json(const nlohmann::json& object, const std::string& what);
};

/// The requests of every measurement, whatever its limits.
inline constexpr std::size_t kLeastMeasureRequests = 250;
/// Of these, at least and at most so many are about a value of 4 MB.
inline constexpr std::size_t kLeastLargeRequests = 6, kMostLargeRequests = 40;

/// What every measurement uses of a store of that kind, whatever its limits; a store whose waits
/// poll has some GETs more. `max_value_bytes`: those of its Capabilities. Units are DynamoDB's, for
/// keys of some 10 to 100 bytes and a table with nothing else in it.
storage::Usage least_measure_usage(const storage::Plugin& plugin, std::uint64_t max_value_bytes);

struct MeasureLimits {
  double seconds = 5;                                              ///< about how long
  std::size_t requests = std::numeric_limits<std::size_t>::max();  ///< about how many at most
  std::size_t large_requests = kMostLargeRequests;                 ///< of these, of 4 MB
  std::size_t small_bytes = 1000;                                  ///< of a small value
  /// Called before each request; an error that it throws ends the measurement.
  std::function<void()> between;
};

/// Saves, loads, lists and removes values below the store's root, and leaves nothing there. Throws
/// what the store and `between` throw while fewer than three values were saved and loaded; after
/// that, what they throw ends the measurement.
StoreMeasure measure_store(storage::Storage& store, const MeasureLimits& limits);

/// The value below which a share `p` of the values lies, linear between two; 0 of none.
double quantile(std::vector<double> values, double p);

/// Bytes of a large value.
inline constexpr std::size_t kLargeValue = 4'000'000;

}  // namespace lambdaml::worker
