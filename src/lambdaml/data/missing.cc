#include "lambdaml/data/missing.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/array.h"

namespace lambdaml::data {
namespace {

/// Calls visit(column, index in the array of values) for each stored value.
template <class Visit>
void for_stored(const tensor::DenseView& x, const Visit& visit) {
  for (std::size_t r = 0; r < x.rows; ++r)
    for (std::size_t c = 0; c < x.cols; ++c) visit(c, r * x.cols + c);
}
std::size_t end_of(const tensor::DenseView& x) { return x.rows * x.cols; }
template <class Index>
std::uint64_t begin_of(const tensor::CsrView<Index>& x) {
  return x.rows == 0 ? 0 : x.offsets[0];
}
template <class Index>
std::uint64_t end_of(const tensor::CsrView<Index>& x) {
  return x.rows == 0 ? 0 : x.offsets[x.rows];
}
template <class Index, class Visit>
void for_stored(const tensor::CsrView<Index>& x, const Visit& visit) {
  for (std::uint64_t k = begin_of(x); k < end_of(x); ++k) visit(x.indices[k], k);
}

const float* values_of(const tensor::DenseView& x) { return x.data; }
template <class Index>
const float* values_of(const tensor::CsrView<Index>& x) {
  return x.values;
}

tensor::DenseView with_values(tensor::DenseView x, const float* values) {
  x.data = values;
  return x;
}
template <class Index>
tensor::CsrView<Index> with_values(tensor::CsrView<Index> x, const float* values) {
  x.values = values;
  return x;
}

}  // namespace

Dataset filled(const Dataset& dataset, const Options& format_options, const std::string& what) {
  const auto is_unknown = [](float fill) { return std::isnan(fill); };
  if (!dataset.names || std::ranges::none_of(dataset.names->fills, is_unknown)) return dataset;
  const bool by_zero = format_options.text("missing") == "zero";
  auto names = std::make_shared<Names>(*dataset.names);
  struct Owner {
    Array<float> values;
    std::shared_ptr<const void> before;
  };
  const auto owner = std::make_shared<Owner>();
  owner->before = dataset.owner;
  Dataset out = dataset;
  const auto fill = [&](const auto& x) {
    const float* const values = values_of(x);
    std::vector<double> sums(x.cols);
    std::vector<std::size_t> counts(x.cols, x.rows);
    for_stored(x, [&](std::size_t c, std::size_t k) {
      if (std::isnan(values[k]))
        --counts[c];
      else
        sums[c] += values[k];
    });
    for (std::size_t c = 0; c < x.cols; ++c) {
      if (!is_unknown(names->fills[c])) continue;
      if (counts[c] == 0)
        fail(Code::data_corrupt, "{}: column '{}': every value is missing: remove the column", what,
             printable(names->features[c], 60));
      names->fills[c] = by_zero ? 0 : static_cast<float>(sums[c] / static_cast<double>(counts[c]));
    }
    owner->values = Array<float>(end_of(x));  // offsets count from the first value of all
    for_stored(x, [&](std::size_t c, std::size_t k) {
      owner->values[k] = std::isnan(values[k]) ? names->fills[c] : values[k];
    });
    out.features = with_values(x, owner->values.data());
  };
  std::visit(fill, dataset.features);
  out.owner = owner;
  out.names = std::move(names);
  return out;
}

}  // namespace lambdaml::data
