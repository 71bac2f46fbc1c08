#include "lambdaml/data/pixels/normalization.h"

#include <algorithm>
#include <cmath>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/pixels/images.h"

namespace lambdaml::data {
namespace {

[[noreturn]] void refuse(const std::string& value, std::size_t channels) {
  fail(
      Code::invalid_argument,
      "--normalize '{}': write auto, none, or means and deviations between 0 and 1, one of each or "
      "{} of each for these images, as in 0.13,0.31",
      printable(value, 80), channels);
}

std::vector<float> numbers_in(const std::string& value, std::size_t channels) {
  std::vector<float> out;
  for (const std::string& text : lambdaml::split(value, ',')) {
    const std::optional<double> number = to_real(trim(text));
    if (!number || !std::isfinite(*number)) refuse(value, channels);
    out.push_back(static_cast<float>(*number));
  }
  return out;
}

/// `square` and `sum` of each channel of one row after the other.
template <class T>
std::vector<double> sums_of(const T* values, std::size_t rows, std::size_t channels,
                            std::size_t pixels) {
  std::vector<double> out(2 * channels + 1);
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < channels; ++c, values += pixels) {
      double sum = 0, squares = 0;
      for (std::size_t i = 0; i < pixels; ++i) {
        const auto value = static_cast<double>(values[i]);
        sum += value;
        squares += value * value;
      }
      out[c] += sum;
      out[channels + c] += squares;
    }
  out[2 * channels] = static_cast<double>(rows * pixels);
  return out;
}

}  // namespace

Option normalize_option() {
  return {.name = "normalize",
          .default_value = std::string(),
          .help =
              "what images become (deep models): auto, by the training rows' mean and deviation "
              "of each channel; none, from 0 to 1; or means and deviations, as in 0.13,0.31; by "
              "default CIFAR-10's for its images, else none"};
}

bool is_automatic(const std::string& value) { return value == "auto"; }

Normalization normalization_of(const std::string& value, std::span<const std::size_t> shape) {
  const std::size_t channels = shape.empty() ? 1 : shape[0];
  const bool cifar10 =
      std::ranges::equal(shape, std::vector<std::size_t>{kImageColours, kImageSide, kImageSide});
  if (value.empty() && cifar10) return cifar10_normalization();
  Normalization out{std::vector<float>(channels, 0.0F), std::vector<float>(channels, 1.0F)};
  if (value.empty() || value == "none") return out;
  const std::vector<float> numbers = numbers_in(value, channels);
  if (numbers.size() != 2 && numbers.size() != 2 * channels) refuse(value, channels);
  const std::size_t given = numbers.size() / 2;
  for (std::size_t c = 0; c < channels; ++c) {
    out.mean[c] = numbers[given == 1 ? 0 : c];
    out.deviation[c] = numbers[given == 1 ? 1 : channels + c];
    if (!(out.deviation[c] > 0)) refuse(value, channels);
  }
  return out;
}

std::vector<double> channel_sums(const Tensor& images, std::size_t rows) {
  const std::size_t channels = images.shape.empty() ? 1 : images.shape[0];
  return sums_of(reinterpret_cast<const unsigned char*>(images.values), rows, channels,
                 images.row_numbers() / channels);
}

std::vector<double> channel_sums(std::span<const float> values, std::size_t channels,
                                 std::size_t row_values) {
  return sums_of(values.data(), values.size() / row_values, channels, row_values / channels);
}

Normalization normalization_from(std::span<const double> sums) {
  const std::size_t channels = sums.size() / 2;
  const double count = std::max(sums[2 * channels], 1.0);
  Normalization out;
  for (std::size_t c = 0; c < channels; ++c) {
    const double mean = sums[c] / count;
    const double variance = std::max(0.0, sums[channels + c] / count - mean * mean);
    out.mean.push_back(static_cast<float>(mean / 255));
    const auto deviation = static_cast<float>(std::sqrt(variance) / 255);
    out.deviation.push_back(deviation > 0 ? deviation : 1.0F);
  }
  return out;
}

}  // namespace lambdaml::data
