#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "lambdaml/storage/storage.h"

namespace lambdaml::storage {

/// Where the time of calls to a store went. Thread-safe counters; calls of several threads at once
/// add up.
class Times {
 public:
  struct Seconds {
    double sending = 0;    ///< saving and removing values
    double waiting = 0;    ///< waits, until there was something to receive; sums by the store
    double receiving = 0;  ///< loading values, those of waits included
  };
  Seconds seconds() const;
  void add(const Seconds& more);

 private:
  std::atomic<std::int64_t> sending_ns_{0}, waiting_ns_{0}, receiving_ns_{0};
};

/// Measures the calls to a store. What a wait does besides receiving values is waiting. A store
/// that computes sums (Aggregator) does everything in one request, which counts as waiting.
std::shared_ptr<Storage> with_times(std::shared_ptr<Storage> inner, std::shared_ptr<Times> times);

}  // namespace lambdaml::storage
