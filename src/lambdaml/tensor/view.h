#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>

namespace lambdaml::tensor {

/// `rows` × `cols` float32, row-major, row i begins at data + i · cols. A view: owns nothing.
struct DenseView {
  const float* data = nullptr;
  std::size_t rows = 0;
  std::size_t cols = 0;

  DenseView slice(std::size_t begin, std::size_t end) const {
    return {data + begin * cols, end - begin, cols};
  }
  std::span<const float> row(std::size_t i) const { return {data + i * cols, cols}; }
};

/// Compressed sparse rows: row i has the entries [offsets[i], offsets[i + 1]) of `indices` and
/// `values`; indices ascend strictly within a row and are < cols. `offsets` has rows + 1 entries
/// and does not begin at 0 in a slice: indices and values are those of the whole matrix.
template <class Index>
struct CsrView {
  const std::uint64_t* offsets = nullptr;
  const Index* indices = nullptr;
  const float* values = nullptr;
  std::size_t rows = 0;
  std::size_t cols = 0;

  CsrView slice(std::size_t begin, std::size_t end) const {
    return {offsets + begin, indices, values, end - begin, cols};
  }
  std::size_t nonzeros() const { return rows == 0 ? 0 : offsets[rows] - offsets[0]; }
};

using Csr16 = CsrView<std::uint16_t>;
using Csr32 = CsrView<std::uint32_t>;

/// Feature rows in any storage form; a model dispatches on the form once per batch.
using MatrixView = std::variant<DenseView, Csr16, Csr32>;

inline std::size_t rows(const MatrixView& m) {
  return std::visit([](const auto& v) { return v.rows; }, m);
}
inline std::size_t cols(const MatrixView& m) {
  return std::visit([](const auto& v) { return v.cols; }, m);
}
inline bool is_sparse(const MatrixView& m) { return !std::holds_alternative<DenseView>(m); }
inline MatrixView slice(const MatrixView& m, std::size_t begin, std::size_t end) {
  return std::visit([&](const auto& v) -> MatrixView { return v.slice(begin, end); }, m);
}
/// Stored numbers: rows · cols when dense, the non-zeros when sparse.
inline std::size_t stored_values(const MatrixView& m) {
  if (const auto* dense = std::get_if<DenseView>(&m)) return dense->rows * dense->cols;
  if (const auto* csr = std::get_if<Csr16>(&m)) return csr->nonzeros();
  return std::get<Csr32>(m).nonzeros();
}

}  // namespace lambdaml::tensor
