#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"

namespace lambdaml::storage {

/// One worker's part in a sum that the store computes.
struct SumRequest {
  enum class Kind {
    round,    ///< the sum over all workers of their contributions to this round, in worker order
    running,  ///< the sum of all contributions so far, of any worker; each worker's rounds ascend
    newest,   ///< the sum over workers of each one's newest contribution
  };
  std::string_view key;  ///< the sum's name; same rules as for keys of values
  Kind kind = Kind::round;
  std::uint64_t round = 0;
  std::uint32_t worker = 0;
  std::uint32_t workers = 1;
  /// round: this worker will never return to an earlier round; see Communicator::retire.
  std::uint64_t retired = 0;
  /// running: wait while this worker's contributions exceed those of the slowest worker by this
  /// number.
  std::optional<std::uint32_t> staleness = {};
  /// running: the generation from this worker's last answer; 0: none yet, accept any.
  std::uint64_t generation = 0;
  /// running: this worker has finished and contributes nothing; wait until all workers have
  /// finished.
  bool last = false;
};

struct SumAnswer {
  std::size_t merged = 0;  ///< contributions in the sum
  /// running: a random number drawn when the sum was begun; a sum that was lost or cleared begins
  /// with a new one. If it differs from the request's, nothing was added and the vectors are
  /// unchanged.
  std::uint64_t generation = 0;
};

/// The deadline_exceeded error of a sum; names the workers whose contributions are missing.
class MissingWorkers : public Error {
 public:
  MissingWorkers(const std::string& message, std::vector<std::uint32_t> workers)
      : Error(Code::deadline_exceeded, message), workers_(std::move(workers)) {}
  const std::vector<std::uint32_t>& workers() const { return workers_; }

 private:
  std::vector<std::uint32_t> workers_;
};

/// A store that sums vectors itself, as a parameter server does. Optional: see
/// Storage::aggregator(). Thread-safe, except that calls for one key must not overlap.
class Aggregator {
 public:
  virtual ~Aggregator() = default;

  /// Contributes `totals` and `values` to the sum of request.key and replaces them by the sum that
  /// the kind defines. One request. A contribution is identified by worker and round and counts
  /// once, however often the call is repeated. All contributions to a sum have the same sizes. The
  /// result is bitwise that of adding floats one by one in worker order (running: in order of
  /// arrival). Waits until `deadline`, then throws MissingWorkers. Throws diverged for values that
  /// are not finite, and what the store throws; after an error the vectors are unchanged.
  /// Storage::clear() also removes sums below its prefix.
  virtual SumAnswer push_pull(const SumRequest& request, std::span<double> totals,
                              std::span<float> values, Deadline deadline) = 0;
};

}  // namespace lambdaml::storage
