#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "lambdaml/ps/message.h"
#include "lambdaml/ps/server/environment.h"

namespace lambdaml::ps {

/// Immutable numbers: the sum of a round, one worker's push, a copy of a model.
struct Result {
  Buffer totals, values;
  std::optional<Sparse> sparse;  ///< the values in sparse form, if that is shorter
  Charge charge;

  /// The overhead of each result, however short.
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

/// The numbers of a push, checked: sizes agree, indices ascend and are within the length, numbers
/// are finite. Numbers from clients reach an entry only in this form.
class Push {
 public:
  std::uint64_t length() const { return length_; }  ///< of the whole vector
  std::span<const double> totals() const {
    return {reinterpret_cast<const double*>(totals_.data()), totals_.size() / sizeof(double)};
  }
  bool is_sparse() const { return indices_.has_value(); }
  /// The pushed values, at indices() if it is sparse.
  std::span<const float> values() const {
    return {reinterpret_cast<const float*>(values_.data()), values_.size() / sizeof(float)};
  }
  std::span<const std::uint32_t> indices() const;

  /// The whole vector. Throws resource_exhausted if there is no memory for it.
  std::unique_ptr<Result> whole(Budget& budget) &&;

 private:
  friend struct Request;
  std::uint64_t length_ = 0;
  Buffer totals_, values_;
  std::optional<Buffer> indices_;
  Charge charge_;
};

/// A push-pull request, checked except for what only the entry knows (its length, its workers).
struct Request {
  /// `charge` covers the memory of the numbers as far as it was taken. Throws invalid_argument,
  /// diverged (values that are not finite), resource_exhausted.
  Request(const Part& part, Numbers numbers, Charge charge, Environment& environment);

  Part part;
  std::optional<Push> push;      ///< nullopt: nothing is pushed, whatever was sent
  std::uint64_t n_totals = 0;    ///< that it declares, even if nothing is pushed
  std::optional<Buffer> wanted;  ///< whole indices, of any size
  /// Set for a push by the original's call: the checksum by which a repetition is known.
  std::optional<std::uint64_t> checksum = {};

 private:
  void check_flags() const;
  void check(const Push& push) const;
  void check_finite(const Push& push) const;
  [[noreturn]] void refuse(const std::string& why) const;

  Charge wanted_charge_;
};

}  // namespace lambdaml::ps
