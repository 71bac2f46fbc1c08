// Convolutions beside sums in double precision.
#include "lambdaml/torch/convolution.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "lambdaml/base/rng.h"

namespace lambdaml::torch_library {
namespace {

struct Convolved {
  ConvolutionShape shape;
  std::size_t images;
};
void PrintTo(const Convolved& c, std::ostream* out) {
  *out << c.images << " images of " << c.shape.channels_in << " x " << c.shape.height << " x "
       << c.shape.width << " to " << c.shape.channels_out << ", kernel " << c.shape.kernel;
}

class ConvolutionOf : public testing::TestWithParam<Convolved> {
 protected:
  static std::vector<float> numbers(std::size_t count, std::uint64_t seed, double scale,
                                    bool positive = false) {
    Rng rng(seed);
    std::vector<float> out(count);
    for (float& value : out) {
      const double drawn = scale * rng.normal();
      value = static_cast<float>(positive ? std::max(0.0, drawn) : drawn);
    }
    return out;
  }

  /// Calls action(index of an input value, of an output value, of a weight) for all that meet at
  /// these output pixels.
  template <class Action>
  static void for_products(const Convolved& c, const Action& action) {
    const ConvolutionShape& s = c.shape;
    const std::size_t pad = (s.kernel - 1) / 2;
    for (std::size_t n = 0; n < c.images; ++n)
      for (std::size_t i = 0; i < s.out_height(); ++i)
        for (std::size_t j = 0; j < s.out_width(); ++j)
          for (std::size_t a = 0; a < s.kernel; ++a)
            for (std::size_t b = 0; b < s.kernel; ++b) {
              const std::size_t y = i * s.stride + a;
              const std::size_t x = j * s.stride + b;
              if (y < pad || x < pad || y - pad >= s.height || x - pad >= s.width) continue;
              const std::size_t in = ((n * s.height + y - pad) * s.width + x - pad) * s.channels_in;
              const std::size_t out =
                  ((n * s.out_height() + i) * s.out_width() + j) * s.channels_out;
              for (std::size_t o = 0; o < s.channels_out; ++o)
                for (std::size_t k = 0; k < s.channels_in; ++k)
                  action(in + k, out + o, ((o * s.channels_in + k) * s.kernel + a) * s.kernel + b);
            }
  }

  /// The root of the mean squared error, in units of the exact numbers' own.
  static double error(std::span<const float> values, std::span<const double> exact) {
    double errors = 0;
    double squares = 0;
    for (std::size_t i = 0; i < exact.size(); ++i) {
      errors += std::pow(static_cast<double>(values[i]) - exact[i], 2);
      squares += exact[i] * exact[i];
    }
    return std::sqrt(errors / squares);
  }
};

TEST_P(ConvolutionOf, ImagesAndItsGradientsAreExactToRounding) {
  const Convolved& c = GetParam();
  const ConvolutionShape& s = c.shape;
  const std::vector<float> x = numbers(c.images * s.values_in(), 1, 1, true);
  const std::vector<float> dy = numbers(c.images * s.values_out(), 2, 1);
  const std::vector<float> weights = numbers(
      s.weights(), 3, std::sqrt(2.0 / static_cast<double>(s.channels_in * s.kernel * s.kernel)));
  std::vector<double> y(dy.size()), dx(x.size()), dw(weights.size());
  for_products(c, [&](std::size_t in, std::size_t out, std::size_t weight) {
    y[out] += static_cast<double>(x[in]) * static_cast<double>(weights[weight]);
    dx[in] += static_cast<double>(dy[out]) * static_cast<double>(weights[weight]);
    dw[weight] += static_cast<double>(dy[out]) * static_cast<double>(x[in]);
  });
  // The first image once more, as a chunk of its own.
  for_products({s, 1}, [&](std::size_t in, std::size_t out, std::size_t weight) {
    dw[weight] += static_cast<double>(dy[out]) * static_cast<double>(x[in]);
  });

  Convolution convolution(s, false);
  const std::size_t images[] = {c.images, 1};
  const LibraryThreads one(1);
  convolution.prepare(weights.data(), images, true, 1);
  const double bound = convolution.is_by_winograd(c.images) ? 3e-6 : 1e-6;
  Workspace workspace;
  std::vector<float> made(dy.size());
  convolution.forward(c.images, x.data(), made.data(), workspace);
  EXPECT_LT(error(made, y), bound);

  std::vector<float> back(x.size());
  convolution.backward(c.images, x.data(), dy.data(), back.data(), workspace);
  EXPECT_LT(error(back, dx), bound);
  convolution.backward(1, x.data(), dy.data(), nullptr, workspace);
  std::vector<float> sums(weights.size());
  Workspace* const all[] = {&workspace};
  convolution.take_sums(all, sums.data(), 1);
  EXPECT_LT(error(sums, dw), bound);

  std::vector<float> again(dy.size());
  convolution.prepare(weights.data(), images, false, 1);
  convolution.forward(c.images, x.data(), again.data(), workspace);
  EXPECT_LT(error(again, y), 1e-6) << "evaluated";
  convolution.prepare(weights.data(), images, true, 1);
  Workspace another;
  convolution.forward(c.images, x.data(), again.data(), another);
  EXPECT_EQ(again, made) << "the same bits";
}

constexpr ConvolutionShape square(std::size_t in, std::size_t out, std::size_t side,
                                  std::size_t kernel, std::size_t stride) {
  return {in, out, side, side, kernel, stride, 1};
}

// Winograd's algorithm takes those of 3 x 3 with 32 tiles or more, and a tile may lie over the
// edge.
INSTANTIATE_TEST_SUITE_P(
    Shapes, ConvolutionOf,
    testing::Values(Convolved{square(64, 64, 16, 3, 1), 2}, Convolved{square(48, 80, 15, 3, 1), 3},
                    Convolved{square(128, 64, 4, 3, 1), 33}, Convolved{square(128, 64, 4, 3, 1), 5},
                    Convolved{square(64, 64, 16, 3, 2), 2}, Convolved{square(64, 32, 16, 1, 1), 2},
                    Convolved{square(16, 16, 32, 3, 1), 1}, Convolved{square(3, 16, 20, 7, 2), 2}));

TEST(Winograd, IsChosenByTilesAndChannelsAlone) {
  const Convolution wide(square(64, 64, 16, 3, 1), false);
  if (!wide.is_by_winograd(wide.chunk(true))) GTEST_SKIP() << "only for processors with AVX-512";
  EXPECT_EQ(wide.chunk(true), 32U);  // 512 tiles
  EXPECT_TRUE(wide.is_by_winograd(2));
  EXPECT_FALSE(wide.is_by_winograd(1)) << "16 tiles";
  EXPECT_FALSE(Convolution(square(32, 64, 16, 3, 1), false).is_by_winograd(32));
  EXPECT_FALSE(Convolution(square(64, 64, 16, 3, 2), false).is_by_winograd(32));
  EXPECT_FALSE(Convolution(square(64, 64, 16, 3, 1), true).is_by_winograd(32)) << "bfloat16";
}

}  // namespace
}  // namespace lambdaml::torch_library
