#include "lambdaml/data/rows.h"

#include <algorithm>
#include <numeric>

#include "lambdaml/base/error.h"
#include "lambdaml/data/array.h"
#include "lambdaml/data/source.h"

namespace lambdaml::data {
namespace {

/// The rows row_of(0) … row_of(n - 1) of `csr`.
template <class Index, class RowOf>
Dataset gather(const tensor::CsrView<Index>& csr, std::size_t n, const RowOf& row_of,
               Array<std::int32_t> labels) {
  Array<std::uint64_t> offsets(n + 1);
  offsets[0] = 0;
  for (std::size_t r = 0; r < n; ++r) {
    const std::size_t from = row_of(r);
    offsets[r + 1] = offsets[r] + (csr.offsets[from + 1] - csr.offsets[from]);
  }
  Array<Index> indices(offsets[n]);
  Array<float> values(offsets[n]);
  for (std::size_t r = 0; r < n; ++r) {
    const std::uint64_t begin = csr.offsets[row_of(r)];
    const std::size_t count = offsets[r + 1] - offsets[r];
    std::copy_n(csr.indices + begin, count, indices.data() + offsets[r]);
    std::copy_n(csr.values + begin, count, values.data() + offsets[r]);
  }
  return sparse_dataset(std::move(offsets), std::move(indices), std::move(values), csr.cols,
                        std::move(labels));
}

template <class RowOf>
Dataset gather(const tensor::DenseView& dense, std::size_t n, const RowOf& row_of,
               Array<std::int32_t> labels) {
  Array<float> values(n * dense.cols);
  for (std::size_t r = 0; r < n; ++r)
    std::copy_n(dense.data + row_of(r) * dense.cols, dense.cols, values.data() + r * dense.cols);
  return dense_dataset(std::move(values), n, dense.cols, std::move(labels));
}

template <class RowOf>
Dataset gather(const Dataset& dataset, std::size_t n, const RowOf& row_of) {
  Array<std::int32_t> labels(dataset.labels.empty() ? 0 : n);
  for (std::size_t r = 0; r < labels.size(); ++r) labels[r] = dataset.labels[row_of(r)];
  return std::visit([&](const auto& view) { return gather(view, n, row_of, std::move(labels)); },
                    dataset.features);
}

/// Calls place(part, row of the part) for each row in the order before the cut.
template <class Place>
void deal(const std::vector<Dataset>& parts, const Place& place) {
  std::size_t longest = 0;
  for (const Dataset& part : parts) longest = std::max(longest, part.rows());
  for (std::size_t k = 0; k < longest; ++k)
    for (std::size_t i = 0; i < parts.size(); ++i)
      if (k < parts[i].rows()) place(i, k);
}

template <class Index>
Dataset interleave_sparse(const std::vector<Dataset>& parts, std::size_t rows, std::size_t cols,
                          Array<std::int32_t> labels) {
  std::size_t stored = 0;
  for (const Dataset& part : parts) stored += tensor::stored_values(part.features);
  Array<std::uint64_t> offsets(rows + 1);
  Array<Index> indices(stored);
  Array<float> values(stored);
  offsets[0] = 0;
  std::size_t r = 0;
  deal(parts, [&](std::size_t i, std::size_t k) {
    const std::uint64_t to = offsets[r];
    const auto copy = [&](const auto& csr) {
      const std::uint64_t begin = csr.offsets[k];
      const std::uint64_t count = csr.offsets[k + 1] - begin;
      for (std::uint64_t e = 0; e < count; ++e)
        indices[to + e] = static_cast<Index>(csr.indices[begin + e]);
      std::copy_n(csr.values + begin, count, values.data() + to);
      offsets[++r] = to + count;
    };
    if (const auto* narrow = std::get_if<tensor::Csr16>(&parts[i].features))
      copy(*narrow);
    else
      copy(std::get<tensor::Csr32>(parts[i].features));
  });
  return sparse_dataset(std::move(offsets), std::move(indices), std::move(values), cols,
                        std::move(labels));
}

Dataset interleave_dense(const std::vector<Dataset>& parts, std::size_t rows, std::size_t cols,
                         Array<std::int32_t> labels) {
  Array<float> values(dense_bytes(rows, cols, "the data set") / sizeof(float));
  float* to = values.data();
  deal(parts, [&](std::size_t i, std::size_t k) {
    const auto& dense = std::get<tensor::DenseView>(parts[i].features);
    to = std::copy_n(dense.data + k * dense.cols, dense.cols, to);
    to = std::fill_n(to, cols - dense.cols, 0.0F);
  });
  return dense_dataset(std::move(values), rows, cols, std::move(labels));
}

}  // namespace

Dataset take_part(const Dataset& dataset, std::size_t i, std::size_t n) {
  if (i >= n) fail(Code::internal, "taking part {} of {}", i, n);
  const std::size_t rows = dataset.rows() > i ? (dataset.rows() - i - 1) / n + 1 : 0;
  return gather(dataset, rows, [=](std::size_t r) { return r * n + i; });
}

Dataset take_rows(const Dataset& dataset, std::span<const std::uint32_t> order) {
  const std::size_t rows = dataset.rows();
  if (std::any_of(order.begin(), order.end(), [&](std::uint32_t r) { return r >= rows; }))
    fail(Code::internal, "taking rows beyond the {} there are", rows);
  return gather(dataset, order.size(), [&](std::size_t r) { return order[r]; });
}

Dataset concatenate(const std::vector<Dataset>& parts) {
  std::size_t rows = 0;
  for (const Dataset& part : parts) rows += part.rows();
  const std::size_t cols = parts[0].cols();
  Array<float> values(dense_bytes(rows, cols, "the data set") / sizeof(float));
  Array<std::int32_t> labels(rows);
  float* to = values.data();
  std::int32_t* label = labels.data();
  for (const Dataset& part : parts) {
    const Dataset dense = in_form(part, Form::dense);
    if (dense.cols() != cols || !dense.labelled())
      fail(Code::internal, "joining data sets of different kinds");
    to = std::copy_n(std::get<tensor::DenseView>(dense.features).data, dense.rows() * cols, to);
    label = std::copy(dense.labels.begin(), dense.labels.end(), label);
  }
  return dense_dataset(std::move(values), rows, cols, std::move(labels));
}

Dataset interleave(std::vector<Dataset> parts) {
  std::size_t rows = 0;
  std::size_t cols = 0;
  bool sparse = false;
  bool labelled = true;
  for (const Dataset& part : parts) {
    rows += part.rows();
    cols = std::max(cols, part.cols());
    sparse |= tensor::is_sparse(part.features);
    labelled &= part.labelled();
  }
  Array<std::int32_t> labels(labelled ? rows : 0);
  std::size_t r = 0;
  if (labelled)
    deal(parts, [&](std::size_t i, std::size_t k) { labels[r++] = parts[i].labels[k]; });
  if (!sparse) return interleave_dense(parts, rows, cols, std::move(labels));
  for (Dataset& part : parts) part = in_form(part, Form::sparse);
  if (cols <= kNarrowCols)
    return interleave_sparse<std::uint16_t>(parts, rows, cols, std::move(labels));
  return interleave_sparse<std::uint32_t>(parts, rows, cols, std::move(labels));
}

}  // namespace lambdaml::data
