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

/// One worker's part in a sum that a store takes itself.
struct SumRequest {
  enum class Kind {
    round,    ///< the sum over all workers of their contributions to this round, in worker order
    running,  ///< the sum of all contributions so far, of any worker; each worker's rounds ascend
    newest,   ///< the sum over workers of each one's newest contribution
  };
  std::string_view key;  ///< the sum's name, as of a value
  Kind kind = Kind::round;
  std::uint64_t round = 0;
  std::uint32_t worker = 0;
  std::uint32_t workers = 1;
  /// round: this worker will not come back before that one; see Communicator::retire.
  std::uint64_t retired = 0;
  /// running: waits while this worker has contributed so many times more than the one with the
  /// fewest.
  std::optional<std::uint32_t> staleness = {};
  /// running: the generation that this worker knows, as an answer told; 0: none yet, any will do.
  std::uint64_t generation = 0;
  /// running: this worker has finished and contributes nothing; waits until all have.
  bool last = false;
};

struct SumAnswer {
  std::size_t merged = 0;  ///< contributions in the sum
  /// running: drawn when the sum was begun; after it was lost or cleared it is another one. Where
  /// it is not the request's, nothing was added and the vectors are as they were.
  std::uint64_t generation = 0;
};

/// The deadline_exceeded error of a sum, with the workers whose contributions are missing.
class MissingWorkers : public Error {
 public:
  MissingWorkers(const std::string& message, std::vector<std::uint32_t> workers)
      : Error(Code::deadline_exceeded, message), workers_(std::move(workers)) {}
  const std::vector<std::uint32_t>& workers() const { return workers_; }

 private:
  std::vector<std::uint32_t> workers_;
};

/// A store that adds up vectors by itself, as a parameter server does. Optional: see
/// Storage::aggregator(). All methods may be called from several threads at once; calls for one
/// key by one at a time.
class Aggregator {
 public:
  virtual ~Aggregator() = default;

  /// Contributes `totals` and `values` to the sum of request.key and replaces them by it, as the
  /// kind says. One request. A contribution counts once, by worker and round, however often the
  /// call is repeated. All sizes of a round, or of another sum, are the same. The result is bitwise
  /// that of adding float by float in worker order (running: in order of arrival). Waits until
  /// `deadline`; throws MissingWorkers then, diverged for values that are not finite, and what the
  /// store throws: after an error the vectors are as they were. Storage::clear() removes sums below
  /// its prefix too.
  virtual SumAnswer push_pull(const SumRequest& request, std::span<double> totals,
                              std::span<float> values, Deadline deadline) = 0;
};

}  // namespace lambdaml::storage
