#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "lambdaml/ps/server/shared.h"

namespace lambdaml::ps {

/// The sum, in worker order, of what each worker has pushed last. Nobody waits.
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
  /// Puts `mine`, if any, in its place; the results of all, or none when nothing is known of this
  /// worker.
  std::vector<std::shared_ptr<const Result>> replace(const Part& part,
                                                     std::shared_ptr<const Result> mine);

  Shared& shared_;
  std::vector<Newest> newest_;  ///< of each worker; empty before the first push
};

}  // namespace lambdaml::ps
