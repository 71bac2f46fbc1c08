#include <gmock/gmock.h>

#include "lambdaml/base/error.h"
#include "lambdaml/data/pixels/images.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/data/source.h"
#include "lambdaml/data/synthetic.h"

namespace lambdaml::data {
namespace {

using ::testing::HasSubstr;

const Plugin& cifar10() { return registry().get("cifar10"); }

Dataset read(std::string bytes) {
  return cifar10().read(std::make_shared<const Buffer>(as_bytes(bytes)), {"FILE"});
}

TEST(Cifar10, ReadsWhatItWroteAndIsRecognized) {
  const Dataset images = synthesize({.kind = "cifar10", .rows = 20, .seed = 4});
  const Buffer bytes = cifar10().write(images);
  ASSERT_EQ(bytes.size(), 20 * 3073);
  EXPECT_TRUE(cifar10().recognizes(bytes.view().first(4096)));
  EXPECT_FALSE(registry().get("libsvm").recognizes(bytes.view().first(4096)));
  EXPECT_FALSE(cifar10().recognizes(as_bytes(std::string(4096, '1'))));
  const Dataset again = read(std::string(bytes.text()));
  EXPECT_EQ(cifar10().write(again).text(), bytes.text());
  EXPECT_EQ(again.cols(), kImageValues);
}

TEST(Cifar10, RefusesWhatIsCutOffOrLabelledOtherwise) {
  const std::string two(2 * 3073, '\0');
  EXPECT_EQ(read(two).rows(), 2);
  const auto error_of = [](std::string bytes) -> std::string {
    try {
      read(std::move(bytes));
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(error_of(two.substr(1)), HasSubstr("image 2 is cut off after 3072"));
  std::string labelled = two;
  labelled[3073] = 10;
  EXPECT_THAT(error_of(labelled), HasSubstr("image 2 has the label 10"));
}

TEST(Cifar10, AFolderOfFilesIsOneSetInTheOrderOfTheirNames) {
  const auto uri = Uri::parse("memory://cifar10-test");
  const auto store = storage::open(uri);
  for (const char label : {2, 1, 3})
    store->save("data_batch_" + std::to_string(label) + ".bin",
                as_bytes(std::string(1, label) + std::string(3072, label)));
  store->save("test_batch.bin", as_bytes(std::string(3073, '\0')));
  const Dataset all = data::read(uri, "auto");
  EXPECT_THAT(std::vector(all.labels.begin(), all.labels.end()), ::testing::ElementsAre(1, 2, 3));
}

TEST(Images, AreNormalizedAndVariedTheSameWayAgain) {
  std::vector<float> image(kImageValues, 0.0F);
  image[5 * 32 + 7] = 255;  // red, row 5, column 7
  std::vector<float> plain(kImageValues);
  normalize_image(image, plain);
  EXPECT_NEAR(plain[(5 * 32 + 7) * 3], (1 - 0.4914) / 0.2470, 1e-5);
  EXPECT_NEAR(plain[(5 * 32 + 7) * 3 + 1], -0.4822 / 0.2435, 1e-5);
  std::vector<float> a(kImageValues), b(kImageValues);
  int found = 0, mirrored = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    vary_image(image, Rng(seed), a);
    vary_image(image, Rng(seed), b);
    ASSERT_EQ(a, b);
    for (int y = 0; y < 32; ++y)
      for (int x = 0; x < 32; ++x)
        if (a[static_cast<std::size_t>((y * 32 + x) * 3)] > 0) {
          ++found;
          EXPECT_LE(std::abs(y - 5), 4);
          const bool other_side = x > 15;
          mirrored += other_side ? 1 : 0;
          EXPECT_LE(std::abs(x - (other_side ? 24 : 7)), 4);
        }
  }
  EXPECT_EQ(found, 200);
  EXPECT_NEAR(mirrored, 100, 30);
}

}  // namespace
}  // namespace lambdaml::data
