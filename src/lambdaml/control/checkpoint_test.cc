#include "lambdaml/control/checkpoint.h"

#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/comm/registry.h"

namespace lambdaml::control {
namespace {

/// State without a method.
class Numbers : public optim::Optimizer {
 public:
  void begin(std::span<const float> parameters) override {
    values.assign(parameters.begin(), parameters.end());
  }
  model::Totals step(const model::Batch&, const optim::Position&) override { return {}; }
  std::span<const float> parameters() const override { return values; }
  optim::State state() override { return {{"values", values}}; }
  std::vector<double> scalars() const override { return {scalar}; }
  void set_scalars(std::span<const double> scalars) override { scalar = scalars[0]; }

  std::vector<float> values = {1, 2, 3};
  double scalar = 4;
};

class CheckpointTest : public testing::Test {
 protected:
  Checkpoints checkpoints(const std::string& job, const std::string& fingerprint = "f") const {
    return {store_, job, fingerprint, 0, 2};
  }
  void TearDown() override { store_->clear(""); }

  std::shared_ptr<storage::Storage> store_ = storage::open("memory://checkpoint-test");
  std::unique_ptr<comm::Communicator> communicator_ = comm::registry().get("reduce").make({});
};

TEST_F(CheckpointTest, OfAnEarlierVersionThatKeptAPasswordStillFits) {
  Numbers numbers;
  checkpoints("job", R"({"model":"torchscript","rows":[1,2],"script":"redis://u:p@h/0/net.pt"})")
      .save({1, 7}, numbers, *communicator_, {});
  const auto restore = [&](const std::string& fingerprint) {
    Numbers restored;
    checkpoints("job", fingerprint).restore({1, 7}, restored, *communicator_);
  };
  EXPECT_NO_THROW(
      restore(R"({"model":"torchscript","rows":[1,2],"script":"redis://u@h/0/net.pt"})"));
  EXPECT_THROW(restore(R"({"model":"torchscript","rows":[1,2],"script":"redis://u@h/0/other.pt"})"),
               Error);
}

TEST_F(CheckpointTest, AJobKeepsTheOrderThatItWasBegunWith) {
  using data::OrderVersion;
  const std::string old = R"({"rows":[1,2]})";
  const std::string now = R"({"order":2,"rows":[1,2]})";
  EXPECT_EQ(checkpoints("none", now).keep_order(), OrderVersion::tail_mixed);
  Numbers numbers;
  checkpoints("new", now).save({1, 7}, numbers, *communicator_, {});
  EXPECT_EQ(checkpoints("new", now).keep_order(), OrderVersion::tail_mixed);
  // An old version named none. What a new one saves of that job names the old order, and so on.
  checkpoints("old", old).save({1, 7}, numbers, *communicator_, {});
  for (std::uint64_t epoch = 1; epoch <= 3; ++epoch) {
    Checkpoints next = checkpoints("old", now);
    EXPECT_EQ(next.keep_order(), OrderVersion::tail_last);
    EXPECT_NO_THROW(next.restore({epoch, 7}, numbers, *communicator_));
    next.save({epoch + 1, 7}, numbers, *communicator_, {});
  }
  // With the wrong order it does not go on.
  EXPECT_THROW(checkpoints("old", now).restore({4, 7}, numbers, *communicator_), Error);
}

TEST_F(CheckpointTest, TheTwoNewestAreThereAndComeBackWhole) {
  Numbers numbers;
  Checkpoints writing = checkpoints("job");
  for (std::uint64_t epoch = 1; epoch <= 3; ++epoch) {
    numbers.values[0] = static_cast<float>(epoch);
    numbers.scalar = 10.0 * static_cast<double>(epoch);
    writing.save({epoch, epoch * 7}, numbers, *communicator_,
                 {epoch == 3 ? "until" : "", "line\n"});
  }
  Checkpoints reading = checkpoints("job");
  EXPECT_EQ(reading.available(), (std::vector<Progress>{{3, 21}, {2, 14}}));
  Numbers restored;
  reading.restore({2, 14}, restored, *communicator_);
  EXPECT_EQ(restored.values, (std::vector<float>{2, 2, 3}));
  EXPECT_EQ(restored.scalar, 20);
  EXPECT_EQ(communicator_->round(), 14U);
  EXPECT_EQ(reading.note({3, 21}).ended_by, "until");
  EXPECT_EQ(reading.note({2, 14}).ended_by, "");
  EXPECT_EQ(reading.note({2, 14}).metrics, "line\n");
  // What follows a restored checkpoint replaces the other one.
  reading.save({3, 99}, restored, *communicator_, {});
  EXPECT_EQ(checkpoints("job").available(), (std::vector<Progress>{{3, 99}, {2, 14}}));
  reading.forget_after(2);
  EXPECT_EQ(checkpoints("job").available(), (std::vector<Progress>{{2, 14}}));
}

TEST_F(CheckpointTest, JobsAndOptionsAreKeptApart) {
  Numbers numbers;
  checkpoints("job").save({1, 1}, numbers, *communicator_, {});
  EXPECT_TRUE(checkpoints("other").available().empty());
  EXPECT_THROW(checkpoints("job", "g").restore({1, 1}, numbers, *communicator_), Error);
  EXPECT_THROW(checkpoints("job").restore({2, 2}, numbers, *communicator_), Error);
}

TEST_F(CheckpointTest, ADamagedOneIsNeverRestored) {
  Numbers numbers;
  Checkpoints writing = checkpoints("job");
  writing.save({1, 1}, numbers, *communicator_, {});
  writing.save({2, 2}, numbers, *communicator_, {});
  const auto damage = [&](const std::string& key, std::size_t from_end) {
    Buffer bytes = std::move(*store_->load(key));
    bytes.data()[bytes.size() - from_end] ^= std::byte{1};
    store_->save(key, bytes);
  };
  damage("job/0_2.1.safetensors", 3);
  EXPECT_EQ(checkpoints("job").available(), (std::vector<Progress>{{1, 1}}));
  damage("job/0_2.0.safetensors", 3);
  try {
    checkpoints("job").available();
    FAIL() << "a damaged checkpoint was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::data_corrupt);
    EXPECT_NE(std::string(error.what()).find("0_2."), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace lambdaml::control
