#pragma once

#include <atomic>
#include <cstdint>

namespace lambdaml::storage {

/// Requests and bytes by kind, as services bill them; polls that find nothing are included.
struct Usage {
  struct Kind {
    std::uint64_t requests = 0;
    std::uint64_t bytes = 0;  ///< of values
  };
  Kind put, get, list, remove;
  /// Capacity billed in addition to requests (DynamoDB: per 1 KB written or 4 KB read).
  double write_units = 0, read_units = 0;

  std::uint64_t requests() const {
    return put.requests + get.requests + list.requests + remove.requests;
  }
  Usage& operator+=(const Usage& other);
};

/// Thread-safe counters, shared by all users of one store in a process.
class Meter {
 public:
  Usage usage() const;
  void count_put(std::uint64_t requests, std::uint64_t bytes);
  void count_get(std::uint64_t requests, std::uint64_t bytes);
  void count_list(std::uint64_t requests);
  void count_remove(std::uint64_t requests);
  void count_units(double written, double read);

 private:
  std::atomic<std::uint64_t> puts_{0}, put_bytes_{0}, gets_{0}, get_bytes_{0}, lists_{0},
      removes_{0};
  std::atomic<double> write_units_{0}, read_units_{0};
};

}  // namespace lambdaml::storage
