#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "lambdaml/ps/server/shared.h"

namespace lambdaml::ps {

/// The sum, in worker order, of each worker's latest push. Never waits.
class NewestSums {
 public:
  explicit NewestSums(Shared& shared) : shared_(shared) {}

  /// Throws what Entry::push_pull() does.
  Answer push_pull(Request request);

  /// Under the lock.
  bool empty() const { return newest_.empty(); }
  void save(Writer& out) const;
  void load(Reader& in);

 private:
  struct Newest {
    std::uint64_t round = 0;
    std::shared_ptr<const Result> result;
  };
  /// Stores `mine`, if any, as this worker's latest; returns the latest of all workers, or nothing
  /// if this worker has none.
  std::vector<std::shared_ptr<const Result>> replace(const Part& part,
                                                     std::shared_ptr<const Result> mine);

  Shared& shared_;
  std::vector<Newest> newest_;  ///< of each worker; empty before the first push
};

}  // namespace lambdaml::ps
