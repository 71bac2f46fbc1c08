#pragma once

#include <cstddef>
#include <span>

#include "lambdaml/base/rng.h"

/// Rows that are images in CIFAR-10's shape: 32 × 32 pixels of three colours.
namespace lambdaml::data {

constexpr std::size_t kImageSide = 32;
constexpr std::size_t kImageColours = 3;
constexpr std::size_t kImagePixels = kImageSide * kImageSide;
/// Features of a row: the red plane, then green, then blue, each row by row, values from 0 to 255.
constexpr std::size_t kImageValues = kImageColours * kImagePixels;

/// Converts an image to the form that networks expect: pixel by pixel, the three colours side by
/// side, each value as (v / 255 − mean) / deviation, with CIFAR-10's mean and deviation of that
/// colour. `row` and `out` have kImageValues numbers each.
void normalize_image(std::span<const float> row, std::span<float> out);

/// The same for a random variant of the image: a crop of 32 × 32 pixels from the image padded with
/// 4 black pixels at each side (40 × 40), mirrored in half of the cases (He, Zhang, Ren, Sun 2016,
/// "Deep residual learning for image recognition", §4.2).
void vary_image(std::span<const float> row, Rng rng, std::span<float> out);

}  // namespace lambdaml::data
