#include "lambdaml/data/images/resize.h"

#include <algorithm>
#include <cmath>

namespace lambdaml::data::images {
namespace {

/// Weights of whole numbers, so that all machines round alike.
constexpr int kBits = 14;

/// One line of the result as a weighted sum of lines of the picture.
struct Taps {
  std::size_t first = 0;
  std::vector<std::int32_t> weights;  ///< 2^kBits in all
};

/// Of `size` pixels that cover [begin, begin + length) of a line of `all` pixels.
std::vector<Taps> taps_of(double begin, double length, std::size_t size, std::size_t all) {
  const double scale = length / static_cast<double>(size);
  const double support = std::max(scale, 1.0);
  std::vector<Taps> out(size);
  for (std::size_t i = 0; i < size; ++i) {
    const double centre = begin + (static_cast<double>(i) + 0.5) * scale;
    const double low = std::max(0.0, std::floor(centre - support));
    const double high = std::min(static_cast<double>(all), std::ceil(centre + support));
    Taps& taps = out[i];
    taps.first = static_cast<std::size_t>(low);
    std::vector<double> weights;
    double sum = 0;
    for (double x = low; x < high; ++x) {
      weights.push_back(std::max(0.0, 1 - std::abs(x + 0.5 - centre) / support));
      sum += weights.back();
    }
    std::int32_t left = 1 << kBits;
    for (const double weight : weights) {
      taps.weights.push_back(static_cast<std::int32_t>(std::lround(weight / sum * (1 << kBits))));
      left -= taps.weights.back();
    }
    // What rounding leaves goes to the heaviest.
    *std::max_element(taps.weights.begin(), taps.weights.end()) += left;
  }
  return out;
}

std::uint8_t rounded(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp((sum + (1 << (kBits - 1))) >> kBits, 0, 255));
}

/// The part of the picture from (x, y), that wide and high, as width × height pixels.
Picture scaled(const Picture& from, double x, double y, double wide, double high, std::size_t width,
               std::size_t height) {
  const std::size_t c = from.channels;
  const std::vector<Taps> across = taps_of(x, wide, width, from.width);
  const std::vector<Taps> down = taps_of(y, high, height, from.height);
  // Lines that no pixel needs are not scaled.
  const std::size_t top = down.front().first;
  const std::size_t bottom = down.back().first + down.back().weights.size();
  std::vector<std::uint8_t> lines((bottom - top) * width * c);
  for (std::size_t line = top; line < bottom; ++line)
    for (std::size_t i = 0; i < width; ++i) {
      const Taps& taps = across[i];
      const std::uint8_t* const at = from.pixels.data() + (line * from.width + taps.first) * c;
      for (std::size_t channel = 0; channel < c; ++channel) {
        std::int32_t sum = 0;
        for (std::size_t k = 0; k < taps.weights.size(); ++k)
          sum += taps.weights[k] * at[k * c + channel];
        lines[((line - top) * width + i) * c + channel] = rounded(sum);
      }
    }
  Picture out{width, height, c, std::vector<std::uint8_t>(width * height * c)};
  for (std::size_t j = 0; j < height; ++j) {
    const Taps& taps = down[j];
    for (std::size_t i = 0; i < width * c; ++i) {
      std::int32_t sum = 0;
      for (std::size_t k = 0; k < taps.weights.size(); ++k)
        sum += taps.weights[k] * lines[(taps.first - top + k) * width * c + i];
      out.pixels[j * width * c + i] = rounded(sum);
    }
  }
  return out;
}

Picture padded(const Picture& from, std::size_t width, std::size_t height) {
  Picture out{width, height, from.channels,
              std::vector<std::uint8_t>(width * height * from.channels)};
  const std::size_t left = (width - from.width) / 2;
  const std::size_t top = (height - from.height) / 2;
  for (std::size_t line = 0; line < from.height; ++line)
    std::copy_n(from.pixels.data() + line * from.width * from.channels, from.width * from.channels,
                out.pixels.data() + ((top + line) * width + left) * from.channels);
  return out;
}

}  // namespace

Picture resized(Picture picture, std::size_t width, std::size_t height, Fit fit) {
  if (picture.width == width && picture.height == height) return picture;
  const auto across = static_cast<double>(picture.width) / static_cast<double>(width);
  const auto down = static_cast<double>(picture.height) / static_cast<double>(height);
  if (fit == Fit::crop) {
    const double scale = std::min(across, down);
    const double wide = scale * static_cast<double>(width);
    const double high = scale * static_cast<double>(height);
    return scaled(picture, (static_cast<double>(picture.width) - wide) / 2,
                  (static_cast<double>(picture.height) - high) / 2, wide, high, width, height);
  }
  const double scale = std::max(across, down);
  const auto side = [&](std::size_t own, std::size_t most) {
    return std::clamp(static_cast<std::size_t>(std::lround(static_cast<double>(own) / scale)),
                      std::size_t{1}, most);
  };
  return padded(
      scaled(picture, 0, 0, static_cast<double>(picture.width), static_cast<double>(picture.height),
             side(picture.width, width), side(picture.height, height)),
      width, height);
}

}  // namespace lambdaml::data::images
