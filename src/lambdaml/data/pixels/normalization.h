#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/data/tensors.h"

/// The option `normalize`: what the pixels of images become before a network gets them.
namespace lambdaml::data {

/// v ↦ (v / 255 − mean) / deviation, by channel; v is from 0 to 255.
struct Normalization {
  std::vector<float> mean;
  std::vector<float> deviation;  ///< above 0

  std::size_t channels() const { return mean.size(); }
  bool operator==(const Normalization&) const = default;
};

Option normalize_option();
/// Whether the option's value is `auto`: means and deviations are those of the training rows.
bool is_automatic(const std::string& value);
/// Of any other value: `none` is from 0 to 1; numbers are all means, then all deviations, one each
/// or one per channel; empty is CIFAR-10's for its images and otherwise `none`. Throws
/// invalid_argument.
Normalization normalization_of(const std::string& value, std::span<const std::size_t> shape);

/// Of images [channels, …] of uint8, for each channel the sum of its values, then for each the sum
/// of their squares, then how many values a channel has: whole numbers, exact up to 2^53, so that
/// they can be added up over workers in any order. One pass.
std::vector<double> channel_sums(const Tensor& images, std::size_t rows);
/// Of rows of features that are images of so many channels; values must be from 0 to 255.
std::vector<double> channel_sums(std::span<const float> values, std::size_t channels,
                                 std::size_t row_values);
/// The means and deviations that such sums tell; a deviation of 0 is taken for 1.
Normalization normalization_from(std::span<const double> sums);

}  // namespace lambdaml::data
