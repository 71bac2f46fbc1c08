#include "lambdaml/model/micro_batches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/model/testing/testing.h"

namespace lambdaml::model {
namespace {

using namespace model::testing;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;

/// Notes which rows it is asked for and told of; each row counts as 1.
class Noting final : public GradientModel {
 public:
  struct Notes {
    std::vector<std::size_t> rows, expected;
    std::vector<std::uint64_t> draws;
    std::string restored_from;
  };
  explicit Noting(Notes& notes) : notes_(notes) {}

  std::size_t parameter_count() const override { return 1; }
  void initialize(const Start&, std::span<float>) override {}
  void expect(const Batch& next) override { notes_.expected.push_back(next.rows()); }
  Totals accumulate(const Batch& batch, std::span<const float>, std::span<float> sums) override {
    notes_.rows.push_back(batch.rows());
    notes_.draws.push_back(batch.draws.first);
    sums[0] += static_cast<float>(batch.rows());
    return {.loss = 1, .rows = static_cast<double>(batch.rows())};
  }
  Totals evaluate(const Batch&, std::span<const float>) override { return {}; }
  Prediction predict(const Batch&, std::span<const float>, const Wanted&) override { return {}; }
  std::vector<Piece> pieces() const override { return {{"weight", {1}}}; }
  std::vector<std::pair<std::size_t, std::size_t>> penalized() const override { return {}; }
  std::uint64_t training_bytes(std::size_t rows) const override { return 100 * rows; }
  std::vector<tensor::Tensor> further_tensors(std::span<const float>) override {
    return {{.name = "frozen", .dtype = tensor::Dtype::u8, .shape = {0}, .bytes = {}}};
  }
  void restore(const tensor::SafetensorsFile& file) override { notes_.restored_from = file.what(); }
  std::optional<Buffer> to_file(std::span<const float>) override {
    return Buffer(as_bytes("file"));
  }
  std::optional<Buffer> to_empty_file() override { return Buffer(as_bytes("empty file")); }

 private:
  Notes& notes_;
};

TEST(MicroBatches, GoThroughABatchInSlices) {
  Noting::Notes notes;
  MicroBatches model(std::make_unique<Noting>(notes), 4);
  Rows rows(10, 1);
  Batch batch = rows.dense();
  batch.draws = {.seed = 1, .first = 100, .stride = 2};
  model.expect(batch.slice(0, 6));
  std::vector<float> sums(1);
  const Totals totals = model.accumulate(batch, {}, sums);
  EXPECT_EQ(totals.rows, 10);
  EXPECT_EQ(totals.loss, 3);
  EXPECT_EQ(sums[0], 10);
  EXPECT_THAT(notes.rows, ElementsAre(4, 4, 2));
  EXPECT_THAT(notes.draws, ElementsAre(100, 108, 116));
  // Of this batch's slices, and of the next one's first.
  EXPECT_THAT(notes.expected, ElementsAre(4, 2, 4));
  EXPECT_EQ(model.training_bytes(1000), 400);
  EXPECT_EQ(model.training_bytes(3), 300);
  EXPECT_EQ(model.accumulate(batch.slice(0, 0), {}, sums).rows, 0);
}

TEST(MicroBatches, HaveTheSumsOfTheBatch) {
  const Rows rows = random_rows(101, 6, 3, 2);
  const auto whole = make_model("lr", shape_of(6, 3));
  const auto sliced = in_micro_batches(make_model("lr", shape_of(6, 3)), 7);
  std::vector<float> w(whole->parameter_count(), 0.1F), expected(w.size()), sums(w.size());
  const Totals of_batch =
      dynamic_cast<GradientModel&>(*whole).accumulate(rows.dense(), w, expected);
  const Totals of_slices = dynamic_cast<GradientModel&>(*sliced).accumulate(rows.dense(), w, sums);
  EXPECT_EQ(of_slices.rows, of_batch.rows);
  EXPECT_EQ(of_slices.correct, of_batch.correct);
  EXPECT_NEAR(of_slices.loss, of_batch.loss, 1e-4);
  for (std::size_t i = 0; i < w.size(); ++i) EXPECT_NEAR(sums[i], expected[i], 1e-4);
}

TEST(MicroBatches, AreTheModelInAllElse) {
  const Rows rows = random_rows(101, 6, 2, 2);
  const std::map<std::string, std::string> options = {{"intercept_scaling", "2"},
                                                      {"penalize", "saved"}};
  const auto whole = make_model("lr", shape_of(6, 2), options);
  const auto sliced = in_micro_batches(make_model("lr", shape_of(6, 2), options), 7);
  auto& model = dynamic_cast<GradientModel&>(*whole);
  auto& micro = dynamic_cast<GradientModel&>(*sliced);
  const data::Scaling scaling{.center = std::vector<float>(6), .factor = {1, 2, 3, 4, 5, 6}};
  EXPECT_THAT(model.penalty_factors(scaling), ElementsAre(1, 2, 3, 4, 5, 6, 0.5));
  EXPECT_EQ(micro.penalty_factors(scaling), model.penalty_factors(scaling));
  EXPECT_EQ(micro.penalized(), model.penalized());

  std::vector<double> curvatures(7), expected(7);
  EXPECT_TRUE(model.add_curvatures(rows.dense(), expected));
  EXPECT_TRUE(micro.add_curvatures(rows.dense(), curvatures));
  EXPECT_EQ(curvatures, expected);

  const std::vector<float> w(7, 0.1F), direction(7, -0.2F);
  const std::vector<double> lengths = {0.5, 1};
  std::vector<double> losses(2), losses_of_whole(2);
  model.add_losses_along(rows.dense(), w, direction, lengths, losses_of_whole);
  micro.add_losses_along(rows.dense(), w, direction, lengths, losses);
  EXPECT_EQ(losses, losses_of_whole);
}

TEST(MicroBatches, HaveTheFilesOfTheModel) {
  Noting::Notes notes;
  MicroBatches model(std::make_unique<Noting>(notes), 4);
  EXPECT_THAT(model.further_tensors({}), ElementsAre(Field(&tensor::Tensor::name, "frozen")));
  EXPECT_EQ(model.to_file({})->text(), "file");
  EXPECT_EQ(model.to_empty_file()->text(), "empty file");
  tensor::SafetensorsWriter writer;
  writer.set_metadata("format", "test");
  model.restore({std::make_shared<const Buffer>(writer.serialize()), "a model file"});
  EXPECT_EQ(notes.restored_from, "a model file");
}

TEST(MicroBatches, AreOfModelsWithGradients) {
  try {
    in_micro_batches(make_model("kmeans", shape_of(6, 0), {{"clusters", "2"}}), 7);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    EXPECT_THAT(error.what(), HasSubstr("micro_batch"));
  }
  EXPECT_NE(in_micro_batches(make_model("kmeans", shape_of(6, 0), {{"clusters", "2"}}), 0),
            nullptr);
}

}  // namespace
}  // namespace lambdaml::model
