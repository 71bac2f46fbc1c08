#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "lambdaml/storage/aggregator.h"

namespace lambdaml::storage::sim {

/// The numbers of a worker, or of several together.
struct Part {
  std::vector<double> totals;
  std::vector<float> values;

  bool has_sizes_of(const Part& other) const;
  /// Of the same sizes.
  Part& operator+=(const Part& other);
  std::uint64_t bytes() const;
  /// Of the same sizes. Throws invalid_argument for others.
  void copy_to(std::span<double> to_totals, std::span<float> to_values) const;
};

/// What a simulated parameter server keeps of one sum (storage/aggregator.h says what it has to
/// be). It does not wait: the store asks again.
class Sum {
 public:
  struct Answer {
    std::shared_ptr<const Part> sum;  ///< null: nothing was added, see SumAnswer::generation
    std::size_t merged = 0;
    std::uint64_t generation = 0;
  };

  /// Adds a worker's part unless it is there already. Returns whether others may be answered now.
  /// Throws invalid_argument for a part that has other sizes than those of the same sum.
  bool add(const SumRequest& request, Part part);
  /// nullopt: it has to wait.
  std::optional<Answer> answer(const SumRequest& request) const;
  /// The workers for which it waits.
  std::vector<std::uint32_t> missing(const SumRequest& request) const;

 private:
  struct WorkerPushes {
    std::uint64_t next_push = 0, pushes = 0;
    bool finished = false;
  };
  struct Newest {
    std::uint64_t round = 0;
    Part part;
  };

  bool add_to_round(const SumRequest& request, Part part);
  void retire(const SumRequest& request);
  bool add_to_running(const SumRequest& request, const Part& part);
  void replace_newest(const SumRequest& request, Part part);
  bool is_other_generation(const SumRequest& request) const;

  // Rounds
  std::map<std::uint64_t, std::map<std::uint32_t, Part>> open_;
  std::map<std::uint64_t, std::shared_ptr<const Part>> results_;
  std::map<std::uint32_t, std::uint64_t> retired_;
  // Running
  std::optional<Part> running_;
  std::uint64_t pushes_ = 0, generation_ = 0;
  std::map<std::uint32_t, WorkerPushes> workers_;
  // Newest
  std::map<std::uint32_t, Newest> newest_;
};

}  // namespace lambdaml::storage::sim
