#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "lambdaml/ps/server/state.h"

namespace lambdaml::ps {

/// Serves the state's counters at http://host:port/metrics in the text format of Prometheus, to
/// anybody who asks. A client has some seconds and 8 KB for its question, and some seconds to take
/// the answer; of too many at a time the oldest is left.
class Metrics {
 public:
  /// Throws already_exists when it cannot listen there.
  Metrics(State& state, const std::string& host, int port);
  ~Metrics();
  int port() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace lambdaml::ps
