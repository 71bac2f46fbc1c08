#include "lambdaml/model/row_buffer.h"

#include <algorithm>
#include <cstdint>
#include <variant>

namespace lambdaml::model {
namespace {

/// Rows ahead that are requested from memory: those of an order are far apart.
constexpr std::size_t kRowsAhead = 12;
constexpr std::size_t kLine = 64;
/// The processor itself requests what follows the first lines.
constexpr std::size_t kMostLines = 4;

template <class T>
void request(const T* begin, std::size_t count) {
  const auto* at = reinterpret_cast<const char*>(begin);
  const std::size_t before = reinterpret_cast<std::uintptr_t>(begin) % kLine;
  const std::size_t lines = std::min(kMostLines, (before + count * sizeof(T) + kLine - 1) / kLine);
  for (std::size_t line = 0; line < lines; ++line) __builtin_prefetch(at - before + line * kLine);
}

template <class T>
void grow(std::vector<T>& to, std::size_t size) {
  if (to.size() < size) to.resize(size);
}

}  // namespace

tensor::MatrixView RowBuffer::copy(const tensor::DenseView& from,
                                   std::span<const std::uint32_t> order) {
  grow(values_, order.size() * from.cols);
  float* to = values_.data();
  for (std::size_t r = 0; r < order.size(); ++r) {
    if (r + kRowsAhead < order.size())
      request(from.data + order[r + kRowsAhead] * from.cols, from.cols);
    to = std::copy_n(from.data + order[r] * from.cols, from.cols, to);
  }
  return tensor::DenseView{values_.data(), order.size(), from.cols};
}

template <class Index>
tensor::MatrixView RowBuffer::copy(const tensor::CsrView<Index>& from,
                                   std::span<const std::uint32_t> order) {
  std::vector<Index>& indices = indices_of(from);
  grow(offsets_, order.size() + 1);
  offsets_[0] = 0;
  for (std::size_t r = 0; r < order.size(); ++r)
    offsets_[r + 1] = offsets_[r] + (from.offsets[order[r] + 1] - from.offsets[order[r]]);
  grow(values_, offsets_[order.size()]);
  grow(indices, offsets_[order.size()]);
  for (std::size_t r = 0; r < order.size(); ++r) {
    if (r + kRowsAhead < order.size()) {
      const std::uint64_t begin = from.offsets[order[r + kRowsAhead]];
      const std::uint64_t count = offsets_[r + kRowsAhead + 1] - offsets_[r + kRowsAhead];
      request(from.indices + begin, count);
      request(from.values + begin, count);
    }
    const std::uint64_t begin = from.offsets[order[r]];
    const std::uint64_t count = offsets_[r + 1] - offsets_[r];
    std::copy_n(from.indices + begin, count, indices.data() + offsets_[r]);
    std::copy_n(from.values + begin, count, values_.data() + offsets_[r]);
  }
  return tensor::CsrView<Index>{offsets_.data(), indices.data(), values_.data(), order.size(),
                                from.cols};
}

std::span<const float> RowBuffer::copy(std::span<const float> from,
                                       std::span<const std::uint32_t> order,
                                       std::vector<float>& to) {
  if (from.empty()) return {};
  grow(to, order.size());
  for (std::size_t r = 0; r < order.size(); ++r) to[r] = from[order[r]];
  return std::span(to).first(order.size());
}

data::Tensor RowBuffer::copy(const data::Tensor& from, std::span<const std::uint32_t> order,
                             std::vector<std::byte>& to) {
  const std::size_t bytes = from.row_bytes();
  grow(to, order.size() * bytes);
  std::byte* at = to.data();
  for (std::size_t r = 0; r < order.size(); ++r) {
    if (r + kRowsAhead < order.size()) request(from.row(order[r + kRowsAhead]), bytes);
    at = std::copy_n(from.values + order[r] * bytes, bytes, at);
  }
  data::Tensor out = from;
  out.values = to.data();
  return out;
}

Batch RowBuffer::take(const Batch& from, std::span<const std::uint32_t> order) {
  Batch batch;
  batch.features = std::visit([&](const auto& view) { return copy(view, order); }, from.features);
  batch.targets = copy(from.targets, order, targets_);
  batch.weights = copy(from.weights, order, weights_);
  tensors_.resize(from.tensors.size());
  for (std::size_t t = 0; t < tensors_.size(); ++t)
    batch.tensors.push_back(copy(from.tensors[t], order, tensors_[t]));
  if (from.target) batch.target = copy(*from.target, order, target_);
  return batch;
}

}  // namespace lambdaml::model
