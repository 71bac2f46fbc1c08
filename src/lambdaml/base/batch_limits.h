#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace lambdaml {

/// What one request of a batch takes: no further key once it has so many, or their values so many
/// bytes.
struct BatchLimits {
  double keys = 1;  ///< below 1: each key takes 1 / keys requests
  double bytes = std::numeric_limits<double>::infinity();

  /// The requests of a batch of so many keys, whose values have so many bytes each.
  double requests(std::size_t n, double bytes_each) const;
};

/// The requests of one batch, key by key: what the store makes of it and what a simulation counts.
class BatchRequests {
 public:
  explicit BatchRequests(const BatchLimits& limits) : limits_(limits) {}

  /// How many requests the next key begins, whose value has so many bytes: none if the one that is
  /// being filled takes it too.
  std::uint64_t next(double bytes) {
    const bool begins = keys_ == 0 || keys_ >= limits_.keys || bytes_ >= limits_.bytes;
    if (begins) keys_ = bytes_ = 0;
    ++keys_;
    bytes_ += bytes;
    if (!begins) return 0;
    return limits_.keys < 1 ? static_cast<std::uint64_t>(std::round(1 / limits_.keys)) : 1;
  }

 private:
  BatchLimits limits_;
  double keys_ = 0, bytes_ = 0;  ///< of the request that is being filled
};

/// How a value is moved: by one request if it has at most `whole_bytes`, otherwise in parts.
struct PartLimits {
  double whole_bytes = std::numeric_limits<double>::infinity();
  double part_bytes = 1;

  /// The requests that save a value: those of its parts, and two that begin and complete it.
  double saves(double bytes) const {
    return bytes > whole_bytes ? std::ceil(bytes / part_bytes) + 2 : 1;
  }
  /// The requests that load it: the first one brings `whole_bytes`.
  double loads(double bytes) const {
    return bytes > whole_bytes ? 1 + std::ceil((bytes - whole_bytes) / part_bytes) : 1;
  }
};

inline double BatchLimits::requests(std::size_t n, double bytes_each) const {
  if (keys < 1) return std::round(1 / keys) * static_cast<double>(n);
  const double fit = bytes_each > 0 ? std::ceil(bytes / bytes_each) : keys;
  return std::ceil(static_cast<double>(n) / std::max(1.0, std::min(std::ceil(keys), fit)));
}

}  // namespace lambdaml
