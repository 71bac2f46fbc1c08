#include "lambdaml/data/images.h"

#include <array>
#include <cstdint>

namespace lambdaml::data {
namespace {

constexpr std::array<float, kImageColours> kMean = {0.4914F, 0.4822F, 0.4465F};
constexpr std::array<float, kImageColours> kDeviation = {0.2470F, 0.2435F, 0.2616F};
constexpr std::ptrdiff_t kMargin = 4;

/// Pixel (y, x) of `out` is pixel (y + down, x + right) of the image, or of its mirror image.
void copy_image(std::span<const float> row, std::ptrdiff_t down, std::ptrdiff_t right,
                bool mirrored, std::span<float> out) {
  constexpr auto side = static_cast<std::ptrdiff_t>(kImageSide);
  for (std::size_t c = 0; c < kImageColours; ++c) {
    const float scale = 1 / (255 * kDeviation[c]);
    const float black = -kMean[c] / kDeviation[c];
    const float* const plane = row.data() + c * kImagePixels;
    for (std::ptrdiff_t y = 0; y < side; ++y) {
      float* to = out.data() + static_cast<std::size_t>(y) * kImageSide * kImageColours + c;
      const std::ptrdiff_t from_y = y + down;
      const bool outside_y = from_y < 0 || from_y >= side;
      for (std::ptrdiff_t x = 0; x < side; ++x, to += kImageColours) {
        const std::ptrdiff_t from_x = (mirrored ? side - 1 - x : x) + right;
        const bool outside = outside_y || from_x < 0 || from_x >= side;
        *to = outside ? black : plane[from_y * side + from_x] * scale + black;
      }
    }
  }
}

}  // namespace

void normalize_image(std::span<const float> row, std::span<float> out) {
  copy_image(row, 0, 0, false, out);
}

void vary_image(std::span<const float> row, Rng rng, std::span<float> out) {
  const auto shift = [&] {
    return static_cast<std::ptrdiff_t>(rng.below(2 * kMargin + 1)) - kMargin;
  };
  const std::ptrdiff_t down = shift();
  const std::ptrdiff_t right = shift();
  copy_image(row, down, right, rng.below(2) == 1, out);
}

}  // namespace lambdaml::data
