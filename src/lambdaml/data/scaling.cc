#include "lambdaml/data/scaling.h"

#include <algorithm>
#include <cmath>
#include <variant>

#include "lambdaml/base/error.h"
#include "lambdaml/data/array.h"

namespace lambdaml::data {
namespace {

/// Calls visit(column, value) for each stored value, in order; stops where it returns false.
template <class Visit>
void for_values(const Dataset& dataset, Visit&& visit) {
  const auto dense = [&](const tensor::DenseView& x) {
    for (std::size_t i = 0; i < x.rows; ++i)
      for (std::size_t c = 0; c < x.cols; ++c)
        if (!visit(c, x.data[i * x.cols + c])) return;
  };
  const auto sparse = [&](const auto& x) {
    if (x.rows == 0) return;
    for (std::uint64_t at = x.offsets[0]; at < x.offsets[x.rows]; ++at)
      if (!visit(static_cast<std::size_t>(x.indices[at]), x.values[at])) return;
  };
  if (const auto* x = std::get_if<tensor::DenseView>(&dataset.features))
    dense(*x);
  else if (const auto* csr = std::get_if<tensor::Csr16>(&dataset.features))
    sparse(*csr);
  else
    sparse(std::get<tensor::Csr32>(dataset.features));
}

/// Calls visit(column, value) for each stored value of a row.
template <class Visit>
void for_values_of_row(const Dataset& dataset, std::size_t row, Visit&& visit) {
  const auto of_csr = [&](const auto& x) {
    for (std::uint64_t at = x.offsets[row]; at < x.offsets[row + 1]; ++at)
      visit(static_cast<std::size_t>(x.indices[at]), x.values[at]);
  };
  if (const auto* csr = std::get_if<tensor::Csr16>(&dataset.features))
    of_csr(*csr);
  else
    of_csr(std::get<tensor::Csr32>(dataset.features));
}

std::map<std::size_t, float> constants_of_dense(const tensor::DenseView& x) {
  std::map<std::size_t, float> out;
  std::vector<std::size_t> left(x.rows == 0 ? 0 : x.cols);
  for (std::size_t c = 0; c < left.size(); ++c) left[c] = c;
  for (std::size_t r = 1; r < x.rows && !left.empty(); ++r) {
    const float* const row = x.data + r * x.cols;
    std::erase_if(left, [&](std::size_t c) { return row[c] != x.data[c]; });
  }
  for (const std::size_t c : left) out[c] = x.data[c];
  return out;
}

std::map<std::size_t, float> constants_of_sparse(const Dataset& dataset) {
  std::map<std::size_t, float> out;
  if (dataset.rows() == 0) return out;
  for_values_of_row(dataset, 0, [&](std::size_t c, float value) { out[c] = value; });
  for (std::size_t r = 1; r < dataset.rows() && !out.empty(); ++r) {
    std::map<std::size_t, float> still;
    for_values_of_row(dataset, r, [&](std::size_t c, float value) {
      const auto at = out.find(c);
      if (at != out.end() && at->second == value) still.insert(*at);
    });
    if (still.size() < out.size()) out = std::move(still);
  }
  return out;
}

/// What keeps scaled values alive, beside all else of the rows that they come from.
struct Owner {
  std::shared_ptr<const void> before;
  Array<float> values;
};

}  // namespace

ColumnSums column_sums(const Dataset& dataset) {
  ColumnSums out{std::vector<double>(dataset.cols()), std::vector<double>(dataset.cols())};
  if (const auto* x = std::get_if<tensor::DenseView>(&dataset.features)) {
    double* sums = out.sums.data();
    double* squares = out.squares.data();
    const float* row = x->data;
    for (std::size_t i = 0; i < x->rows; ++i, row += x->cols)
      for (std::size_t c = 0; c < x->cols; ++c) {  // vectorized
        const double value = row[c];
        sums[c] += value;
        squares[c] += value * value;
      }
    return out;
  }
  for_values(dataset, [&](std::size_t c, float value) {
    out.sums[c] += value;
    out.squares[c] += static_cast<double>(value) * value;
    return true;
  });
  return out;
}

std::vector<float> largest_absolutes(const Dataset& dataset) {
  std::vector<float> out(dataset.cols());
  for_values(dataset, [&](std::size_t c, float value) {
    out[c] = std::max(out[c], std::abs(value));
    return true;
  });
  return out;
}

bool is_binary(const Dataset& dataset) {
  bool binary = true;
  for_values(dataset, [&](std::size_t, float value) {
    binary = value == 0 || value == 1;
    return binary;
  });
  return binary;
}

std::map<std::size_t, float> constant_columns(const Dataset& dataset) {
  if (const auto* x = std::get_if<tensor::DenseView>(&dataset.features))
    return constants_of_dense(*x);
  return constants_of_sparse(dataset);
}

Dataset scaled(const Dataset& dataset, const Scaling& scaling) {
  if (scaling.center.size() != dataset.cols() || scaling.factor.size() != dataset.cols())
    fail(Code::internal, "a scaling of {} columns for {}", scaling.factor.size(), dataset.cols());
  const auto owner = std::make_shared<Owner>();
  owner->before = dataset.owner;
  Dataset out = dataset;
  if (const auto* x = std::get_if<tensor::DenseView>(&dataset.features)) {
    owner->values = Array<float>(x->rows * x->cols);
    float* to = owner->values.data();
    const float* from = x->data;
    for (std::size_t i = 0; i < x->rows; ++i, to += x->cols, from += x->cols)
      for (std::size_t c = 0; c < x->cols; ++c)
        to[c] = (from[c] - scaling.center[c]) * scaling.factor[c];
    out.features = tensor::DenseView{owner->values.data(), x->rows, x->cols};
  } else {
    if (std::ranges::any_of(scaling.center, [](float center) { return center != 0; }))
      fail(Code::internal, "sparse rows cannot be centered");
    const auto scale = [&](auto view) {
      const std::uint64_t begin = view.rows == 0 ? 0 : view.offsets[0];
      const std::uint64_t end = view.rows == 0 ? 0 : view.offsets[view.rows];
      // Offsets count from the first value of the whole matrix.
      owner->values = Array<float>(end);
      for (std::uint64_t at = begin; at < end; ++at)
        owner->values[at] = view.values[at] * scaling.factor[view.indices[at]];
      view.values = owner->values.data();
      out.features = view;
    };
    if (const auto* csr = std::get_if<tensor::Csr16>(&dataset.features))
      scale(*csr);
    else
      scale(std::get<tensor::Csr32>(dataset.features));
  }
  out.owner = owner;
  return out;
}

}  // namespace lambdaml::data
