#pragma once

#include <cstddef>
#include <span>

#include "lambdaml/base/rng.h"
#include "lambdaml/data/pixels/normalization.h"

/// Rows that are images: what networks get of them.
namespace lambdaml::data {

/// CIFAR-10's shape: 32 × 32 pixels of three colours.
constexpr std::size_t kImageSide = 32;
constexpr std::size_t kImageColours = 3;
constexpr std::size_t kImagePixels = kImageSide * kImageSide;
/// Features of a row: the red plane, then green, then blue, each row by row, values from 0 to 255.
constexpr std::size_t kImageValues = kImageColours * kImagePixels;

/// Mean and deviation of each of CIFAR-10's colours.
const Normalization& cifar10_normalization();

struct ImageShape {
  std::size_t channels = kImageColours;
  std::size_t height = kImageSide;
  std::size_t width = kImageSide;
  std::size_t values() const { return channels * height * width; }
  bool operator==(const ImageShape&) const = default;
};

/// Converts an image of values from 0 to 255 to the form that networks expect: pixel by pixel, the
/// channels side by side, normalized. `row` and `out` have shape.values() numbers each.
void normalize_image(std::span<const float> row, const ImageShape& shape,
                     const Normalization& normalization, std::span<float> out);
void normalize_image(std::span<const std::byte> row, const ImageShape& shape,
                     const Normalization& normalization, std::span<float> out);
/// One of CIFAR-10's shape, with its normalization.
void normalize_image(std::span<const float> row, std::span<float> out);

/// How images are varied at random.
struct Variation {
  /// A crop of its size from the image padded with black pixels, an eighth of its height and width
  /// at each side: 4 of CIFAR-10's (He, Zhang, Ren, Sun 2016, "Deep residual learning for image
  /// recognition", §4.2).
  bool shifts = true;
  bool mirrors = true;  ///< left to right, in half of the cases
};

/// normalize_image() of a random variant.
void vary_image(std::span<const float> row, const ImageShape& shape,
                const Normalization& normalization, Variation variation, Rng rng,
                std::span<float> out);
void vary_image(std::span<const std::byte> row, const ImageShape& shape,
                const Normalization& normalization, Variation variation, Rng rng,
                std::span<float> out);
void vary_image(std::span<const float> row, Rng rng, std::span<float> out);

}  // namespace lambdaml::data
