#include <algorithm>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <turbojpeg.h>

#include "lambdaml/data/images/resize.h"
#include "lambdaml/data/source.h"
#include "lambdaml/data/testing/test_util.h"

namespace lambdaml::data {
namespace {

using namespace test;
using images::Fit;
using images::Picture;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

/// Of one colour.
Picture plain(std::size_t width, std::size_t height, std::array<std::uint8_t, 3> colour) {
  Picture out{width, height, 3, {}};
  for (std::size_t i = 0; i < width * height; ++i)
    out.pixels.insert(out.pixels.end(), colour.begin(), colour.end());
  return out;
}

std::string png_of(const Picture& picture) {
  return std::string(images::encode_png(picture).text());
}

std::string jpeg_of(const Picture& picture, int subsampling = TJSAMP_420) {
  const tjhandle handle = tjInitCompress();
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  EXPECT_EQ(tjCompress2(handle, picture.pixels.data(), static_cast<int>(picture.width), 0,
                        static_cast<int>(picture.height), TJPF_RGB, &bytes, &size, subsampling, 95,
                        TJFLAG_ACCURATEDCT),
            0);
  const std::string out(reinterpret_cast<const char*>(bytes), size);
  tjFree(bytes);
  tjDestroy(handle);
  return out;
}

class ImageFolder : public testing::Test {
 protected:
  void save(const std::string& name, const std::string& content) {
    std::filesystem::create_directories((folder_.path() / name).parent_path());
    std::ofstream(folder_.path() / name, std::ios::binary) << content;
  }
  Dataset read_all(std::initializer_list<std::pair<const char*, const char*>> given = {},
                   std::size_t threads = 3, std::vector<SourceFile>* sources = nullptr) const {
    Options options = format_options();
    for (const auto& [name, value] : given) options.parse(name, value, name);
    return data::read(Uri::parse(folder_.path().string()), "auto", threads, sources, options);
  }
  /// Channel c of pixel 0 of row r.
  static int first_pixel(const Dataset& rows, std::size_t r, std::size_t c) {
    const std::vector<std::size_t>& shape = rows.tensors[0].shape;
    return std::to_integer<int>(rows.tensors[0].row(r)[c * shape[1] * shape[2]]);
  }

  TemporaryFolder folder_;
};

TEST_F(ImageFolder, FoldersAreClasses) {
  save("dog/b.png", png_of(plain(4, 3, {10, 20, 30})));
  save("dog/a.JPG", jpeg_of(plain(4, 3, {200, 100, 50})));
  save("cat/1.jpeg", jpeg_of(plain(4, 3, {0, 0, 255}), TJSAMP_GRAY));
  save("cat/readme.txt", "no image");
  save(".hidden/1.png", "nothing");
  std::vector<SourceFile> sources;
  const Dataset rows = read_all({}, 3, &sources);
  ASSERT_EQ(rows.rows(), 3U);
  EXPECT_EQ(rows.tensors[0].text(), "image: uint8 [3, 3, 4]");
  EXPECT_THAT(to_labels(rows), ElementsAre(0, 1, 1));
  EXPECT_THAT(names_in(rows).labels, ElementsAre("cat", "dog"));
  EXPECT_NEAR(first_pixel(rows, 0, 0), 29, 2);  // the luma of blue
  EXPECT_NEAR(first_pixel(rows, 0, 2), 29, 2);
  EXPECT_NEAR(first_pixel(rows, 1, 0), 200, 4);
  EXPECT_NEAR(first_pixel(rows, 1, 2), 50, 4);
  EXPECT_EQ(first_pixel(rows, 2, 1), 20);
  EXPECT_TRUE(same(read_all({}, 1), rows));
  ASSERT_EQ(sources.size(), 1U);  // of the whole folder
  std::vector<SourceFile> again;
  read_all({}, 1, &again);
  EXPECT_EQ(again, sources);
  save("dog/b.png", png_of(plain(4, 3, {11, 20, 30})));
  read_all({}, 1, &again);
  EXPECT_NE(again[1], sources[0]);
}

TEST_F(ImageFolder, ImagesWithoutClassesHaveNoLabels) {
  save("1.png", png_of(plain(2, 2, {1, 2, 3})));
  save("2.png", png_of(plain(2, 2, {4, 5, 6})));
  const Dataset rows = read_all();
  EXPECT_EQ(rows.rows(), 2U);
  EXPECT_FALSE(rows.labelled());
  EXPECT_EQ(first_pixel(rows, 1, 0), 4);
  save("x/3.png", png_of(plain(2, 2, {4, 5, 6})));
  EXPECT_THAT(error_of([&] { read_all(); }),
              AllOf(HasSubstr("invalid_argument: "), HasSubstr("lies beside the folders")));
  const Uri one = Uri::parse((folder_.path() / "1.png").string());
  EXPECT_EQ(data::read(one).tensors[0].text(), "image: uint8 [3, 2, 2]");
}

TEST_F(ImageFolder, SizesDifferOnlyWithAnImageSize) {
  save("a/1.png", png_of(plain(8, 8, {9, 9, 9})));
  save("b/1.png", png_of(plain(16, 8, {200, 0, 0})));
  EXPECT_THAT(error_of([&] { read_all(); }),
              AllOf(HasSubstr("invalid_argument: "), HasSubstr("a/1.png has 8 × 8 pixels"),
                    HasSubstr("b/1.png has 16 × 8"), HasSubstr("--image-size")));
  const Dataset cropped = read_all({{"image_size", "4"}});
  EXPECT_EQ(cropped.tensors[0].text(), "image: uint8 [3, 4, 4]");
  EXPECT_EQ(first_pixel(cropped, 1, 0), 200);
  const Dataset padded = read_all({{"image_size", "4"}, {"image_fit", "pad"}});
  EXPECT_EQ(first_pixel(padded, 1, 0), 0);  // black above and below
  EXPECT_EQ(std::to_integer<int>(padded.tensors[0].row(1)[4]), 200);
  const Dataset grey = read_all({{"image_size", "2x6"}, {"image_colours", "grey"}});
  EXPECT_EQ(grey.tensors[0].text(), "image: uint8 [1, 2, 6]");
  EXPECT_EQ(first_pixel(grey, 1, 0), 60);
  for (const char* wrong : {"0", "x", "4x", "-3", "99999", "4x4x4"})
    EXPECT_THAT(error_of([&] {
                  read_all({{"image_size", wrong}});
                }),
                HasSubstr("invalid_argument: --image-size"))
        << wrong;
}

TEST_F(ImageFolder, BrokenImagesAreNamedOrCounted) {
  const std::string jpeg = jpeg_of(plain(64, 64, {1, 200, 3}));
  save("a/1.jpg", jpeg);
  save("a/2.jpg", jpeg.substr(0, jpeg.size() - 20));
  save("b/1.png", png_of(plain(64, 64, {1, 2, 3})).substr(0, 60));
  save("b/2.png", "");
  save("b/3.png", png_of(plain(64, 64, {7, 7, 7})));
  EXPECT_THAT(error_of([&] { read_all({}, 1); }),
              AllOf(HasSubstr("data_corrupt: "), HasSubstr("a/2.jpg: the image is broken"),
                    HasSubstr("--skip-broken")));
  testing::internal::CaptureStderr();
  const Dataset rows = read_all({{"skip_broken", "true"}});
  EXPECT_EQ(rows.rows(), 2U);
  EXPECT_THAT(to_labels(rows), ElementsAre(0, 1));
  EXPECT_EQ(first_pixel(rows, 1, 0), 7);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              AllOf(HasSubstr("3 of 5 images are broken and left out"), HasSubstr("a/2.jpg")));
  save("a/1.jpg", "x");
  save("b/3.png", "x");
  EXPECT_THAT(error_of([&] {
                read_all({{"skip_broken", "true"}});
              }),
              HasSubstr("all of its 5 images are broken"));
}

TEST_F(ImageFolder, ImagesThatClaimToBeHugeEndAtALimit) {
  std::string png = png_of(plain(8, 8, {1, 2, 3}));
  png.replace(16, 8, std::string("\0\0\x80\0\0\0\x80\0", 8));
  std::string jpeg = jpeg_of(plain(8, 8, {1, 2, 3}));
  const std::size_t frame = jpeg.find("\xff\xc0");
  jpeg.replace(frame + 5, 4, "\x7f\xf0\x7f\xf0");
  save("a/1.jpg", jpeg);
  EXPECT_THAT(error_of([&] { read_all(); }),
              AllOf(HasSubstr("data_corrupt: "), HasSubstr("at most 64 million are read")));
  // Its checksum is wrong too, which libpng finds first.
  save("a/1.jpg", png);
  EXPECT_THAT(error_of([&] { read_all(); }), HasSubstr("data_corrupt: "));
}

TEST_F(ImageFolder, AModelsImagesNeedNoSize) {
  save("1.png", png_of(plain(64, 48, {1, 2, 3})));
  const Uri place = Uri::parse(folder_.path().string());
  const Learned model{.tensors = {{"image", Element::uint8, {1, 12, 16}}}};
  EXPECT_EQ(read_for(model, place, "auto", 1, nullptr, format_options()).tensors[0].text(),
            "image: uint8 [1, 12, 16]");
  // A model of CIFAR-10's rows.
  const Dataset cifar = read_for({.features = 3072}, place, "auto", 1, nullptr, format_options());
  EXPECT_EQ(cifar.cols(), 3072U);
  EXPECT_EQ(to_rows(cifar)[0][1024], 2.0F);
}

TEST(Resize, ShrinksByAveragingAndKeepsTheMiddle) {
  Picture stripes{8, 4, 1, {}};
  for (int y = 0; y < 4; ++y)
    for (int x = 0; x < 8; ++x) stripes.pixels.push_back(x % 2 == 0 ? 0 : 200);
  const Picture half = images::resized(stripes, 4, 2, Fit::crop);
  EXPECT_EQ(half.width, 4U);
  for (const std::uint8_t value : half.pixels) EXPECT_NEAR(value, 100, 30);
  // Left, middle and right third; the middle is kept.
  Picture thirds{12, 4, 1, {}};
  for (int y = 0; y < 4; ++y)
    for (int x = 0; x < 12; ++x) thirds.pixels.push_back(static_cast<std::uint8_t>(x / 4 * 100));
  EXPECT_EQ(images::resized(thirds, 4, 4, Fit::crop).pixels[5], 100);
  const Picture padded = images::resized(thirds, 12, 12, Fit::pad);
  EXPECT_EQ(padded.pixels[0], 0);
  EXPECT_EQ(padded.pixels[4 * 12 + 11], 200);
  EXPECT_EQ(images::resized(plain(5, 7, {3, 4, 5}), 40, 41, Fit::crop).pixels[100], 4);
}

}  // namespace
}  // namespace lambdaml::data
