#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lambdaml/model/model.h"

namespace lambdaml::model {

/// Copies rows in any order into memory that it keeps, so that a batch of shuffled rows costs no
/// allocation. Used by one thread.
class RowBuffer {
 public:
  /// The rows of `from` that `order` names; valid until the next call. One copy of each. Without
  /// Draws.
  Batch take(const Batch& from, std::span<const std::uint32_t> order);

 private:
  tensor::MatrixView copy(const tensor::DenseView& from, std::span<const std::uint32_t> order);
  template <class Index>
  tensor::MatrixView copy(const tensor::CsrView<Index>& from, std::span<const std::uint32_t> order);
  static std::span<const float> copy(std::span<const float> from,
                                     std::span<const std::uint32_t> order, std::vector<float>& to);
  static data::Tensor copy(const data::Tensor& from, std::span<const std::uint32_t> order,
                           std::vector<std::byte>& to);
  std::vector<std::uint16_t>& indices_of(const tensor::Csr16&) { return narrow_; }
  std::vector<std::uint32_t>& indices_of(const tensor::Csr32&) { return wide_; }

  std::vector<float> values_;
  std::vector<float> targets_;
  std::vector<float> weights_;
  std::vector<std::uint64_t> offsets_;
  std::vector<std::uint16_t> narrow_;
  std::vector<std::uint32_t> wide_;
  std::vector<std::vector<std::byte>> tensors_;
  std::vector<std::byte> target_;
};

}  // namespace lambdaml::model
