#pragma once

#include <cstddef>
#include <span>

#include "lambdaml/base/rng.h"

/// Rows that are images, in CIFAR-10's shape: 32 × 32 pixels of three colours.
namespace lambdaml::data {

constexpr std::size_t kImageSide = 32;
constexpr std::size_t kImageColours = 3;
constexpr std::size_t kImagePixels = kImageSide * kImageSide;
/// Features of a row: the red plane, the green, the blue, each row by row, values from 0 to 255.
constexpr std::size_t kImageValues = kImageColours * kImagePixels;

/// Brings an image into the form that networks take: pixel by pixel, the three colours side by
/// side, each value as (v / 255 − mean) / deviation, with CIFAR-10's mean and deviation of that
/// colour. `row` and `out` have kImageValues numbers each.
void normalize_image(std::span<const float> row, std::span<float> out);

/// The same of a variant of the image that `rng` draws: 32 × 32 pixels out of 40 × 40, where 4
/// black ones were added at each side, and in half of the cases mirrored (He, Zhang, Ren, Sun 2016,
/// "Deep residual learning for image recognition", §4.2).
void vary_image(std::span<const float> row, Rng rng, std::span<float> out);

}  // namespace lambdaml::data
