#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/dashboard/places.h"

namespace lambdaml::dashboard {

/// A job or search that is read again and again while it is shown. Used by one thread.
class Watched {
 public:
  /// What changed since the last time.
  struct News {
    bool changed = false;  ///< row() is another one
    std::string epochs;    ///< new lines of metrics.jsonl, joined by commas
  };

  virtual ~Watched() = default;
  /// Reads what is due at that time, in seconds of any clock. Never throws: what cannot be read is
  /// in the row's `error`.
  virtual News poll(double now_s) = 0;
  /// One JSON object (docs/how-to/dashboard.md), without secrets: kind, place, name, state, metrics
  /// ….
  virtual const nlohmann::ordered_json& row() const = 0;
};

/// `remote`: it is read less often, for each time costs requests to a service.
std::unique_ptr<Watched> watch(const Place& place, bool remote);

}  // namespace lambdaml::dashboard
