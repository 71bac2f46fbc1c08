#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "lambdaml/ps/server/moved_vector.h"
#include "lambdaml/ps/server/original_model.h"
#include "lambdaml/ps/server/shared.h"

namespace lambdaml::ps {

/// The sums of rounds that all workers take part in. The first contribution of each worker to a
/// round counts. A sum is kept until every worker has declared, by Part::retired, that it will not
/// return to that round. If the entry is a model, a round's sum updates it, and the result is the
/// model.
class RoundSums {
 public:
  RoundSums(Shared& shared, MovedVector& vector, const OriginalModel& model)
      : shared_(shared), vector_(vector), model_(model) {}

  /// Waits for all workers' contributions. Throws what Entry::push_pull() throws.
  Answer push_pull(Request request, Deadline deadline);
  /// Restores the sum of a round that the server has lost.
  Answer put_back(Request request);

  /// Under the lock.
  bool empty() const { return open_.empty() && results_.empty(); }
  void save(Writer& out) const;
  void load(Reader& in);
  /// Throws data_corrupt unless all have that many values.
  void require_length(std::uint64_t length) const;

 private:
  struct Collecting {
    std::size_t totals = 0;
    std::uint64_t length = 0;
    std::vector<std::unique_ptr<Result>> parts = {};
    std::vector<bool> arrived = {};
    std::uint32_t count = 0;
    bool sparse = false;
    Charge charge = {};
  };

  void retire(const Part& part);
  Answer answer(const Part& part, const std::shared_ptr<const Result>& result) const;
  Collecting& add_part(Request& request);
  std::shared_ptr<const Result> complete(Lock& lock, Collecting& round, const Part& part);
  std::shared_ptr<Result> moved_by(std::shared_ptr<Result> sum, const Part& part);
  std::vector<std::uint32_t> silent(const Collecting& round) const;

  Shared& shared_;
  MovedVector& vector_;
  const OriginalModel& model_;
  std::map<std::uint64_t, Collecting> open_;
  std::map<std::uint64_t, std::shared_ptr<const Result>> results_;
  std::uint64_t dropped_before_ = 0;
};

}  // namespace lambdaml::ps
