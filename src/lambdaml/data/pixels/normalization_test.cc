#include "lambdaml/data/pixels/normalization.h"

#include <algorithm>
#include <set>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/data/pixels/images.h"
#include "lambdaml/data/source.h"
#include "lambdaml/data/testing/test_util.h"

namespace lambdaml::data {
namespace {

using testing::ElementsAre;
using testing::FloatNear;
using testing::HasSubstr;
using Shape = std::vector<std::size_t>;

TEST(Normalization, OfTheOption) {
  EXPECT_EQ(normalization_of("", Shape{3, 32, 32}), cifar10_normalization());
  EXPECT_EQ(normalization_of("", Shape{1, 28, 28}), (Normalization{{0}, {1}}));
  EXPECT_EQ(normalization_of("none", Shape{3, 32, 32}), (Normalization{{0, 0, 0}, {1, 1, 1}}));
  EXPECT_EQ(normalization_of("0.5,0.25", Shape{2, 8, 8}),
            (Normalization{{0.5, 0.5}, {0.25, 0.25}}));
  EXPECT_EQ(normalization_of("0.5, 0.25, 1,2", Shape{2, 8, 8}),
            (Normalization{{0.5, 0.25}, {1, 2}}));
  for (const char* wrong : {"x", "1", "1,0", "1,-1", "1,2,3", "1,2,3,4,5,6", "inf,1"})
    EXPECT_THAT(test::error_of([&] {
                  normalization_of(wrong, Shape{2, 8, 8});
                }),
                HasSubstr("--normalize"))
        << wrong;
  EXPECT_TRUE(is_automatic("auto"));
  EXPECT_FALSE(is_automatic("none"));
}

TEST(Normalization, OfTheRowsInAnyCut) {
  const Dataset all = test::images(11, {2, 3, 4});
  std::vector<double> sums(5);
  for (std::size_t i = 0; i < 3; ++i) {
    const Dataset part = take_part(all, i, 3);
    const std::vector<double> own = channel_sums(part.tensors[0], part.rows());
    for (std::size_t k = 0; k < sums.size(); ++k) sums[k] += own[k];
  }
  EXPECT_EQ(sums, channel_sums(all.tensors[0], 11));
  std::vector<float> values;
  for (const std::byte b : all.tensors[0].bytes(11))
    values.push_back(static_cast<float>(std::to_integer<unsigned>(b)));
  EXPECT_EQ(sums, channel_sums(values, 2, 24));
  const Normalization found = normalization_from(sums);
  // Normalized, each channel has the mean 0 and the deviation 1.
  std::vector<float> out(24);
  double sum = 0, squares = 0;
  for (std::size_t r = 0; r < 11; ++r) {
    normalize_image(std::span(all.tensors[0].row(r), 24), {2, 3, 4}, found, out);
    for (std::size_t i = 1; i < 24; i += 2) {
      sum += static_cast<double>(out[i]);
      squares += static_cast<double>(out[i] * out[i]);
    }
  }
  EXPECT_NEAR(sum / 132, 0, 1e-5);
  EXPECT_NEAR(squares / 132, 1, 1e-5);
  // Of one colour.
  EXPECT_EQ(normalization_from(std::vector<double>{255, 65025, 1}), (Normalization{{1}, {1}}));
}

TEST(Images, OfAnyShape) {
  const std::vector<std::byte> image = {std::byte{0},   std::byte{255}, std::byte{51},
                                        std::byte{102}, std::byte{255}, std::byte{0}};
  std::vector<float> out(6);
  const ImageShape shape{.channels = 2, .height = 1, .width = 3};
  const Normalization normalization{{0, 0.5}, {1, 0.5}};
  normalize_image(image, shape, normalization, out);
  EXPECT_THAT(out, ElementsAre(FloatNear(0, 1e-6F), FloatNear(-0.2F, 1e-6F), FloatNear(1, 1e-6F),
                               FloatNear(1, 1e-6F), FloatNear(0.2F, 1e-6F), FloatNear(-1, 1e-6F)));
  // A variant has values of the image or of the black around it, the same for the same numbers.
  std::vector<float> varied(6), again(6);
  vary_image(image, shape, normalization, {}, Rng(3), varied);
  vary_image(image, shape, normalization, {}, Rng(3), again);
  EXPECT_EQ(varied, again);
}

/// Where the one white pixel of images of 16 × 24 pixels goes.
TEST(Images, AreShiftedByAnEighthOfTheirSizeAndMirrored) {
  const ImageShape shape{.channels = 1, .height = 16, .width = 24};
  const Normalization plain{{0}, {1}};
  std::vector<std::byte> image(shape.values());
  image[8 * 24 + 10] = std::byte{255};
  const auto places = [&](Variation variation) {
    std::set<std::pair<std::size_t, std::size_t>> out;
    std::vector<float> varied(shape.values());
    for (std::uint64_t seed = 0; seed < 2000; ++seed) {
      vary_image(image, shape, plain, variation, Rng(seed), varied);
      const auto at = static_cast<std::size_t>(std::ranges::max_element(varied) - varied.begin());
      out.emplace(at / 24, at % 24);
    }
    return out;
  };
  const auto shifted = places({.shifts = true, .mirrors = false});
  EXPECT_EQ(shifted.size(), 5U * 7U);  // by 2 rows and 3 columns
  EXPECT_EQ(*shifted.begin(), std::pair(std::size_t{6}, std::size_t{7}));
  EXPECT_EQ(*shifted.rbegin(), std::pair(std::size_t{10}, std::size_t{13}));
  EXPECT_EQ(places({.shifts = false, .mirrors = true}),
            (std::set<std::pair<std::size_t, std::size_t>>{{8, 10}, {8, 13}}));
}

}  // namespace
}  // namespace lambdaml::data
