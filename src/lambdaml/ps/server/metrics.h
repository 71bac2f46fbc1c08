#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "lambdaml/ps/server/state.h"

namespace lambdaml::ps {

/// Serves the state's counters at http://host:port/metrics in the text format of Prometheus,
/// without authentication. A client has a few seconds and 8 KB for its request, and a few seconds
/// to receive the answer; if there are too many, the oldest connection is closed.
class Metrics {
 public:
  /// Throws already_exists if it cannot listen there.
  Metrics(State& state, const std::string& host, int port);
  ~Metrics();
  int port() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace lambdaml::ps
