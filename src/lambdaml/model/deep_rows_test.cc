#include "lambdaml/model/deep_rows.h"

#include <cstring>
#include <set>

#include <gmock/gmock.h>

#include "lambdaml/base/testing/testing.h"

namespace lambdaml::model {
namespace {

using data::Element;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <class T>
std::vector<std::byte> bytes_of(const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

template <class T>
std::vector<T> numbers_of(const data::Tensor& tensor, std::size_t rows) {
  std::vector<T> out(rows * tensor.row_numbers());
  std::memcpy(out.data(), tensor.values, out.size() * sizeof(T));
  return out;
}

TEST(DeepRows, FeaturesAreOneTensorDenseOrSparse) {
  const std::vector<float> values = {1, 2, 3, 0, 5, 0};
  const std::vector<std::uint64_t> offsets = {0, 3, 4};
  const std::vector<std::uint16_t> indices = {0, 1, 2, 1};
  const std::vector<float> stored = {1, 2, 3, 5};
  const std::vector<float> targets = {1, -1};
  const DeepRows rows({.features = 3, .labels = {4, 7}}, Loss::cross_entropy, Augment::automatic);
  EXPECT_EQ(rows.inputs()[0].text(), "features: float32 [3]");
  DeepBatch out;
  const tensor::Csr16 csr{offsets.data(), indices.data(), stored.data(), 2, 3};
  for (const tensor::MatrixView& view :
       {tensor::MatrixView(tensor::DenseView{values.data(), 2, 3}), tensor::MatrixView(csr)}) {
    rows.prepare({.features = view, .targets = targets}, true, out);
    EXPECT_THAT(numbers_of<float>(out.inputs.at(0).tensor, 2), ElementsAre(1, 2, 3, 0, 5, 0));
    EXPECT_THAT(numbers_of<std::int64_t>(out.target.value(), 2), ElementsAre(1, -1));
  }
}

TEST(DeepRows, TensorsBecomeWhatNetworksTake) {
  const std::vector<std::uint16_t> halves = {0x3C00, 0xC000, 0x0001, 0x8000, 0x7C00, 0x3555};
  const std::vector<std::uint8_t> pixels = {0, 51, 255, 102, 0, 0};
  const std::vector<std::int32_t> tokens = {5, 6, 7, 8};
  const auto half_bytes = bytes_of(halves), pixel_bytes = bytes_of(pixels),
             token_bytes = bytes_of(tokens);
  const std::vector<data::Tensor> tensors = {
      {{"half", Element::float16, {3}}, half_bytes.data()},
      {{"image", Element::uint8, {1, 1, 3}}, pixel_bytes.data()},
      {{"tokens", Element::int32, {2}}, token_bytes.data()}};
  Shape shape;
  for (const data::Tensor& tensor : tensors) shape.inputs.push_back(tensor);
  const DeepRows rows(shape, Loss::mse, Augment::automatic);
  DeepBatch out;
  rows.prepare({.features = tensor::DenseView{nullptr, 2, 0}, .targets = {}, .tensors = tensors},
               true, out);
  EXPECT_THAT(numbers_of<float>(out.inputs[0].tensor, 2),
              ElementsAre(1, -2, 0x1p-24F, 0, std::numeric_limits<float>::infinity(),
                          ::testing::FloatNear(1.0F / 3, 1e-4)));
  EXPECT_THAT(numbers_of<float>(out.inputs[1].tensor, 2), ElementsAre(0, 0.2F, 1, 0.4F, 0, 0));
  EXPECT_EQ(out.inputs[2].tensor.values, token_bytes.data());
  EXPECT_FALSE(out.target);
}

TEST(DeepRows, ClassNumbersOutOfRangeAreNamed) {
  const std::vector<std::uint8_t> classes = {0, 2, 255, 1};
  const auto bytes = bytes_of(classes);
  const data::Tensor target{{"mask", Element::uint8, {2}}, bytes.data()};
  Shape shape;
  shape.inputs = {{"x", Element::float32, {1}}};
  shape.target = target;
  const std::vector<float> x(2);
  const Batch batch{.features = tensor::DenseView{nullptr, 2, 0},
                    .targets = {},
                    .tensors = {{shape.inputs[0], reinterpret_cast<const std::byte*>(x.data())}},
                    .target = target};
  DeepRows rows(shape, Loss::cross_entropy, Augment::automatic);
  DeepBatch out;
  rows.check_classes(3, 255);
  rows.prepare(batch, true, out);
  EXPECT_THAT(numbers_of<std::int64_t>(out.target.value(), 2), ElementsAre(0, 2, 255, 1));
  rows.check_classes(3, {});
  EXPECT_THAT(error_of([&] { rows.prepare(batch, true, out); }),
              HasSubstr("the target 'mask' has the class number 255 where the module gives logits "
                        "of 3 classes, 0 to 2"));
  rows.check_classes(2, 255);
  EXPECT_THAT(error_of([&] { rows.prepare(batch, true, out); }), HasSubstr("class number 2 "));
}

TEST(DeepRows, ImagesOfTrainingAreVariedAsChosen) {
  constexpr std::size_t kRows = 40;
  std::vector<std::byte> bytes;
  for (std::size_t r = 0; r < kRows; ++r)
    for (const int value : {0, 51, 102, 153, 204, 255}) bytes.push_back(std::byte(value));
  const data::Tensor image{{"image", Element::uint8, {1, 2, 3}}, bytes.data()};
  Shape shape;
  shape.inputs = {image};
  Batch batch{tensor::DenseView{nullptr, kRows, 0}, {}};
  batch.tensors = {image};
  const auto kinds = [&](Augment augment, bool in_training) {
    DeepBatch out;
    DeepRows(shape, Loss::mse, augment).prepare(batch, in_training, out);
    const std::vector<float> all = numbers_of<float>(out.inputs.at(0).tensor, kRows);
    std::set<std::vector<float>> rows;
    for (std::size_t r = 0; r < kRows; ++r)
      rows.emplace(all.begin() + static_cast<std::ptrdiff_t>(6 * r),
                   all.begin() + static_cast<std::ptrdiff_t>(6 * r + 6));
    return rows.size();
  };
  EXPECT_EQ(kinds(Augment::mirror, true), 2U);
  EXPECT_EQ(kinds(Augment::mirror, false), 1U);
  EXPECT_EQ(kinds(Augment::automatic, true), 1U) << "digits have no mirror images";
  EXPECT_EQ(kinds(Augment::light, true), 1U);
  EXPECT_EQ(kinds(Augment::none, true), 1U);
}

TEST(DeepRows, ImagesAreNormalizedAsTheOptionSays) {
  const std::vector<std::uint8_t> pixels = {0, 255, 255, 51, 102, 0, 0, 51};
  const std::vector<std::byte> bytes = bytes_of(pixels);
  const data::Tensor image{{"image", Element::uint8, {2, 1, 2}}, bytes.data()};
  Shape shape;
  shape.inputs = {image};
  Batch batch{tensor::DenseView{nullptr, 2, 0}, {}};
  batch.tensors = {image};
  DeepRows rows(shape, Loss::mse, Augment::none);
  EXPECT_TRUE(rows.normalization_pieces().empty());
  DeepBatch out;
  const auto prepared = [&] {
    rows.prepare(batch, false, out);
    return numbers_of<float>(out.inputs.at(0).tensor, 2);
  };
  EXPECT_THAT(prepared(), ElementsAre(0, 1, 1, 0.2F, 0.4F, 0, 0, 0.2F));
  rows.set_normalization("0,0.5,0.5,2");
  EXPECT_THAT(prepared(), ElementsAre(0, 2, 0.25F, ::testing::FloatNear(-0.15F, 1e-6F), 0.8F, 0,
                                      -0.25F, ::testing::FloatNear(-0.15F, 1e-6F)));
  rows.set_normalization("auto");
  ASSERT_EQ(rows.normalization_pieces().size(), 2U);
  EXPECT_EQ(rows.normalization_pieces()[1].name, "lambdaml.deviation.image");
  // Of two workers with a row each.
  std::vector<double> sums = rows.normalization_sums(batch.slice(0, 1));
  const std::vector<double> others = rows.normalization_sums(batch.slice(1, 2));
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += others[i];
  EXPECT_EQ(sums, rows.normalization_sums(batch));
  rows.use_normalization(rows.normalization_from(sums));
  const std::vector<float> values = prepared();
  EXPECT_NEAR(values[0] + values[1] + values[4] + values[5], 0, 1e-5);
  float squares = 0;
  for (const std::size_t i : {2U, 3U, 6U, 7U}) squares += values[i] * values[i];
  EXPECT_NEAR(squares, 4, 1e-4);
}

}  // namespace
}  // namespace lambdaml::model
