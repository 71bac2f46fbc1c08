#pragma once

#include <cmath>
#include <cstdlib>
#include <variant>

#include "lambdaml/data/dataset.h"

/// Ends the process, which the fuzzer reports, unless the data set is what its type promises; reads
/// every byte of it.
inline void check_dataset(const lambdaml::data::Dataset& dataset) {
  using lambdaml::tensor::DenseView;
  const auto want = [](bool holds) {
    if (!holds) std::abort();
  };
  want(dataset.labels.empty() || dataset.labels.size() == dataset.rows());
  want(dataset.targets.empty() || dataset.targets.size() == dataset.rows());
  want(dataset.targets.empty() || dataset.labels.empty());
  for (const float target : dataset.targets) want(std::isfinite(target));
  if (dataset.names) {
    const auto& [features, labels, label, fills, weight] = *dataset.names;
    want(label.empty() || label != weight);
    want(features.empty() || features.size() == dataset.cols());
    want(fills.empty() || fills.size() == features.size());
    for (const std::int32_t value : dataset.labels)
      want(labels.empty() || (value >= 0 && static_cast<std::size_t>(value) < labels.size()));
  }
  want(dataset.tensors.empty() || dataset.cols() == 0);
  want(!dataset.target_tensor || (dataset.labels.empty() && dataset.targets.empty()));
  const auto check_tensor = [&](const lambdaml::data::Tensor& tensor) {
    want(lambdaml::data::all_finite(tensor, dataset.rows()));
    unsigned char sum = 0;
    for (const std::byte b : tensor.bytes(dataset.rows()))
      sum = static_cast<unsigned char>(sum + std::to_integer<unsigned>(b));
    volatile unsigned char sink_of_tensor = sum;
    (void)sink_of_tensor;
  };
  for (const lambdaml::data::Tensor& tensor : dataset.tensors) check_tensor(tensor);
  if (dataset.target_tensor) check_tensor(*dataset.target_tensor);
  volatile std::int32_t sink = 0;
  for (const std::int32_t label : dataset.labels) sink = label;
  (void)sink;
  std::visit(
      [&](const auto& view) {
        if constexpr (std::is_same_v<std::decay_t<decltype(view)>, DenseView>) {
          for (std::size_t k = 0; k < view.rows * view.cols; ++k) want(std::isfinite(view.data[k]));
        } else {
          for (std::size_t r = 0; r < view.rows; ++r) {
            want(view.offsets[r] <= view.offsets[r + 1]);
            for (std::uint64_t k = view.offsets[r]; k < view.offsets[r + 1]; ++k) {
              want(view.indices[k] < view.cols && std::isfinite(view.values[k]));
              want(k == view.offsets[r] || view.indices[k - 1] < view.indices[k]);
            }
          }
        }
      },
      dataset.features);
}
