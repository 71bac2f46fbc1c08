#include "lambdaml/data/pixels/images.h"

#include <cstdint>

namespace lambdaml::data {
namespace {

/// Of the height and width: by which an image is shifted at most.
constexpr std::size_t kMargins = 8;

/// How far an image is moved.
struct Move {
  std::ptrdiff_t down = 0;
  std::ptrdiff_t right = 0;
  bool mirrored = false;
};

float number_of(float value) { return value; }
float number_of(std::byte value) { return static_cast<float>(std::to_integer<unsigned>(value)); }

/// Pixel (y, x) of `out` is pixel (y + down, x + right) of the image, or of its mirror image.
template <class T>
[[gnu::always_inline]] inline void copy_image(const T* row, const ImageShape& shape,
                                              const Normalization& normalization, const Move& move,
                                              float* out) {
  const auto height = static_cast<std::ptrdiff_t>(shape.height);
  const auto width = static_cast<std::ptrdiff_t>(shape.width);
  const auto channels = static_cast<std::ptrdiff_t>(shape.channels);
  for (std::ptrdiff_t c = 0; c < channels; ++c) {
    const float mean = normalization.mean[static_cast<std::size_t>(c)];
    const float deviation = normalization.deviation[static_cast<std::size_t>(c)];
    const float scale = 1 / (255 * deviation);
    const float black = -mean / deviation;
    const T* const plane = row + c * height * width;
    for (std::ptrdiff_t y = 0; y < height; ++y) {
      float* to = out + y * width * channels + c;
      const std::ptrdiff_t from_y = y + move.down;
      const bool outside_y = from_y < 0 || from_y >= height;
      for (std::ptrdiff_t x = 0; x < width; ++x, to += channels) {
        const std::ptrdiff_t from_x = (move.mirrored ? width - 1 - x : x) + move.right;
        const bool outside = outside_y || from_x < 0 || from_x >= width;
        *to = outside ? black : number_of(plane[from_y * width + from_x]) * scale + black;
      }
    }
  }
}

/// With CIFAR-10's shape known to the compiler.
template <class T>
void prepare_image(const T* row, const ImageShape& shape, const Normalization& normalization,
                   const Move& move, float* out) {
  if (shape == ImageShape())
    copy_image(row, ImageShape(), normalization, move, out);
  else
    copy_image(row, shape, normalization, move, out);
}

Move random_move(const ImageShape& shape, Variation variation, Rng rng) {
  const auto shift = [&](std::size_t side) {
    const std::size_t margin = side / kMargins;
    return static_cast<std::ptrdiff_t>(rng.below(2 * margin + 1)) -
           static_cast<std::ptrdiff_t>(margin);
  };
  Move out;
  if (variation.shifts) {
    out.down = shift(shape.height);
    out.right = shift(shape.width);
  }
  out.mirrored = variation.mirrors && rng.below(2) == 1;
  return out;
}

}  // namespace

const Normalization& cifar10_normalization() {
  static const Normalization constants{{0.4914F, 0.4822F, 0.4465F}, {0.2470F, 0.2435F, 0.2616F}};
  return constants;
}

void normalize_image(std::span<const float> row, const ImageShape& shape,
                     const Normalization& normalization, std::span<float> out) {
  prepare_image(row.data(), shape, normalization, {}, out.data());
}

void normalize_image(std::span<const std::byte> row, const ImageShape& shape,
                     const Normalization& normalization, std::span<float> out) {
  prepare_image(row.data(), shape, normalization, {}, out.data());
}

void normalize_image(std::span<const float> row, std::span<float> out) {
  prepare_image(row.data(), {}, cifar10_normalization(), {}, out.data());
}

void vary_image(std::span<const float> row, const ImageShape& shape,
                const Normalization& normalization, Variation variation, Rng rng,
                std::span<float> out) {
  prepare_image(row.data(), shape, normalization, random_move(shape, variation, rng), out.data());
}

void vary_image(std::span<const std::byte> row, const ImageShape& shape,
                const Normalization& normalization, Variation variation, Rng rng,
                std::span<float> out) {
  prepare_image(row.data(), shape, normalization, random_move(shape, variation, rng), out.data());
}

void vary_image(std::span<const float> row, Rng rng, std::span<float> out) {
  vary_image(row, {}, cifar10_normalization(), {}, rng, out);
}

}  // namespace lambdaml::data
