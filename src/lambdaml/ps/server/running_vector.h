#pragma once

#include <cstdint>
#include <vector>

#include "lambdaml/ps/server/moved_vector.h"
#include "lambdaml/ps/server/shared.h"

namespace lambdaml::ps {

/// A vector with totals that pushes update at once, in order of arrival. Each push counts once:
/// those with a round up to the worker's last one are ignored. An answer may wait until the slowest
/// worker is close enough, or until all have finished.
class RunningVector {
 public:
  RunningVector(Shared& shared, MovedVector& vector) : shared_(shared), vector_(vector) {}

  /// Throws what Entry::push_pull() throws.
  Answer push_pull(Request request, Deadline deadline);

  /// Under the lock.
  void save(Writer& out) const;
  void load(Reader& in);

 private:
  void count_push(Lock& lock, Request& request);
  void check_repeats(const Part& part, std::uint64_t checksum) const;
  void move(Push& push, const Part& part, Result* whole);
  void finish(const Request& request);
  Answer answer(Lock& lock, const Request& request);
  std::vector<std::uint32_t> behind(const Part& part) const;

  Shared& shared_;
  MovedVector& vector_;
  std::vector<double> totals_;
  Charge totals_charge_;
};

}  // namespace lambdaml::ps
