#pragma once

#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/data/dataset.h"

/// Building blocks of data sets, for this layer and its plug-ins.
namespace lambdaml::data {

/// A growing array of plain values in a Buffer: 64-byte aligned and never zeroed, so unused
/// reserved memory causes no page faults. Move only.
template <class T>
class Array {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Array() = default;
  explicit Array(std::size_t size) : buffer_(size * sizeof(T)), size_(size) {}
  Array(Array&& other) noexcept
      : buffer_(std::move(other.buffer_)), size_(std::exchange(other.size_, 0)) {}
  Array& operator=(Array&& other) noexcept {
    buffer_ = std::move(other.buffer_);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  T* data() { return reinterpret_cast<T*>(buffer_.data()); }
  const T* data() const { return reinterpret_cast<const T*>(buffer_.data()); }
  std::size_t size() const { return size_; }
  T& operator[](std::size_t i) { return data()[i]; }
  const T& operator[](std::size_t i) const { return data()[i]; }
  std::span<const T> span() const { return {data(), size_}; }

  void reserve(std::size_t capacity) {
    if (capacity * sizeof(T) <= buffer_.size()) return;
    Buffer larger(capacity * sizeof(T));
    if (size_ != 0) std::memcpy(larger.data(), buffer_.data(), size_ * sizeof(T));
    buffer_ = std::move(larger);
  }
  /// Adds room for `n` uninitialized values and returns where they begin.
  T* extend(std::size_t n) {
    const std::size_t needed = size_ + n;
    if (needed * sizeof(T) > buffer_.size()) reserve(needed + needed / 2);
    T* const begin = data() + size_;
    size_ = needed;
    return begin;
  }

 private:
  Buffer buffer_;
  std::size_t size_ = 0;
};

/// What a data set has besides its features: labels or targets, one per row, or neither; weights,
/// one per row, or none; names.
struct Labelling {
  Labelling(Array<std::int32_t> l = {}) : labels(std::move(l)) {}
  Labelling(Array<float> t) : targets(std::move(t)) {}

  Array<std::int32_t> labels;
  Array<float> targets;
  Array<float> weights;
  std::shared_ptr<const Names> names;
};

/// The labels or targets and the weights of the rows row_of(0) … row_of(n - 1), and the names.
template <class RowOf>
Labelling labelling_of(const Dataset& dataset, std::size_t n, const RowOf& row_of) {
  Labelling out;
  const auto take = [&](const auto& from, auto& to) {
    if (from.empty()) return;
    to = std::remove_reference_t<decltype(to)>(n);
    for (std::size_t r = 0; r < n; ++r) to[r] = from[row_of(r)];
  };
  take(dataset.labels, out.labels);
  take(dataset.targets, out.targets);
  take(dataset.weights, out.weights);
  out.names = dataset.names;
  return out;
}

/// A data set that owns its arrays. `values` holds rows × cols numbers.
inline Dataset dense_dataset(Array<float> values, std::size_t rows, std::size_t cols,
                             Labelling labelling) {
  auto owner =
      std::make_shared<std::pair<Array<float>, Labelling>>(std::move(values), std::move(labelling));
  const auto& [v, l] = *owner;
  return {tensor::DenseView{v.data(), rows, cols},
          l.labels.span(),
          owner,
          l.targets.span(),
          names_of_cols(l.names, cols),
          l.weights.span()};
}

/// A tensor that is being read: rows × shape numbers.
struct TensorValues {
  TensorShape shape;
  Array<std::byte> values;
};

/// A data set of tensors that owns them; see Dataset. Throws internal if the values are not those
/// of so many rows.
Dataset tensor_dataset(std::size_t rows, std::vector<TensorValues> inputs,
                       std::optional<TensorValues> target, Labelling labelling);

/// Throws invalid_argument for a set of tensors, which a format of features cannot hold; `writing`
/// says what is done: "writing CSV".
void require_features(const Dataset& dataset, std::string_view writing);

/// `offsets` has rows + 1 entries and begins at 0.
template <class Index>
Dataset sparse_dataset(Array<std::uint64_t> offsets, Array<Index> indices, Array<float> values,
                       std::size_t cols, Labelling labelling) {
  auto owner =
      std::make_shared<std::tuple<Array<std::uint64_t>, Array<Index>, Array<float>, Labelling>>(
          std::move(offsets), std::move(indices), std::move(values), std::move(labelling));
  const auto& [o, i, v, l] = *owner;
  return {tensor::CsrView<Index>{o.data(), i.data(), v.data(), o.size() - 1, cols},
          l.labels.span(),
          owner,
          l.targets.span(),
          names_of_cols(l.names, cols),
          l.weights.span()};
}

/// The form that `automatic` selects for a sparse matrix of this size; see in_form().
inline Form natural_form(std::size_t rows, std::size_t cols, std::size_t stored) {
  if (cols <= 32) return Form::dense;
  return static_cast<double>(stored) * 2 >= static_cast<double>(rows) * static_cast<double>(cols)
             ? Form::dense
             : Form::sparse;
}

/// The bytes of a dense rows × cols matrix. Throws resource_exhausted, naming `what`, if they
/// exceed the machine's memory.
std::size_t dense_bytes(std::size_t rows, std::size_t cols, std::string_view what);

/// 16-bit indices can address features below this.
constexpr std::size_t kNarrowCols = 65536;

}  // namespace lambdaml::data
