#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "lambdaml/ps/message.h"
#include "lambdaml/ps/server/environment.h"

namespace lambdaml::ps {

/// Numbers that stand: the sum of a round, one worker's push, a copy of a model.
struct Result {
  Buffer totals, values;
  std::optional<Sparse> sparse;  ///< the values again, where that is shorter
  Charge charge;

  /// Of `values`, and one for each result, however short.
  static constexpr std::uint64_t kOverhead = 256;
  static std::uint64_t bytes(std::uint64_t n_totals, std::uint64_t n_values) {
    return kOverhead + n_totals * sizeof(double) + n_values * sizeof(float);
  }

  std::size_t length() const { return values.size() / sizeof(float); }
  std::span<const float> floats() const {
    return {reinterpret_cast<const float*>(values.data()), length()};
  }
  std::span<float> floats() { return {reinterpret_cast<float*>(values.data()), length()}; }
  std::span<const double> doubles() const {
    return {reinterpret_cast<const double*>(totals.data()), totals.size() / sizeof(double)};
  }
  std::span<double> doubles() {
    return {reinterpret_cast<double*>(totals.data()), totals.size() / sizeof(double)};
  }
};

/// What a request brings to a sum or a vector, checked: sizes agree, indices ascend and lie within
/// the length, numbers are finite. Nothing that a client sends reaches an entry but in one of
/// these.
class Push {
 public:
  std::uint64_t length() const { return length_; }  ///< of the whole vector
  std::span<const double> totals() const {
    return {reinterpret_cast<const double*>(totals_.data()), totals_.size() / sizeof(double)};
  }
  bool is_sparse() const { return indices_.has_value(); }
  /// Those that it brings, at indices() if it is sparse.
  std::span<const float> values() const {
    return {reinterpret_cast<const float*>(values_.data()), values_.size() / sizeof(float)};
  }
  std::span<const std::uint32_t> indices() const;

  /// The whole vector. When there is no memory for it, it throws resource_exhausted.
  std::unique_ptr<Result> whole(Budget& budget) &&;

 private:
  friend struct Request;
  std::uint64_t length_ = 0;
  Buffer totals_, values_;
  std::optional<Buffer> indices_;
  Charge charge_;
};

/// A request to push and pull, checked but for what only the entry knows (its length, its workers).
struct Request {
  /// `charge` is for the memory of the numbers, as far as it was taken. Throws invalid_argument,
  /// diverged (what is not finite), resource_exhausted.
  Request(const Part& part, Numbers numbers, Charge charge, Environment& environment);

  Part part;
  std::optional<Push> push;      ///< absent: nothing is pushed, whatever numbers were sent
  std::uint64_t n_totals = 0;    ///< that it names, also where nothing is pushed
  std::optional<Buffer> wanted;  ///< whole indices, of any size

 private:
  void check_flags() const;
  void check(const Push& push) const;
  void check_finite(const Push& push) const;
  [[noreturn]] void refuse(const std::string& why) const;

  Charge wanted_charge_;
};

}  // namespace lambdaml::ps
