#include "lambdaml/control/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/control/endings.h"
#include "lambdaml/storage/testing/faults.h"
#include "lambdaml/tensor/safetensors.h"

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
  Checkpoints checkpoints(const std::string& job, const std::string& fingerprint = "{}") const {
    return {store_, job, parse_json(fingerprint), 0, 2, {}, largest_without_record_};
  }
  Checkpoints checkpoints_of(std::uint32_t worker) const {
    return {store_, "job", parse_json("{}"), worker, 2, {}, largest_without_record_};
  }
  void TearDown() override { store_->clear(""); }
  void damage(const std::string& key) {
    Buffer bytes = std::move(*store_->load(key));
    bytes.data()[bytes.size() - 3] ^= std::byte{1};
    store_->save(key, bytes);
  }
  /// Epochs 1, 2, …, of 7 rounds each.
  void save(std::uint64_t epochs) {
    Numbers numbers;
    Checkpoints writing = checkpoints("job");
    for (std::uint64_t epoch = 1; epoch <= epochs; ++epoch)
      writing.save({epoch, 7 * epoch}, numbers, *communicator_, {});
  }

  std::uint64_t largest_without_record_ = 0;
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

TEST_F(CheckpointTest, OfAVersionWithoutAnOptionWasMadeWithItsDefault) {
  Numbers numbers;
  checkpoints("job", R"({"lr":1,"rows":[1,2]})").save({1, 7}, numbers, *communicator_, {});
  const auto restore = [&](const char* fingerprint) {
    Numbers restored;
    Checkpoints now = checkpoints("job", fingerprint);
    now.set_defaults(parse_json(R"({"epochs":10,"loss":"hinge","lr":2})"));
    now.restore({1, 7}, restored, *communicator_);
  };
  EXPECT_NO_THROW(restore(R"({"loss":"hinge","lr":1,"rows":[1,2]})"));
  EXPECT_THROW(restore(R"({"loss":"squared_hinge","lr":1,"rows":[1,2]})"), Error);
  EXPECT_THROW(restore(R"({"loss":"hinge","lr":2,"rows":[1,2]})"), Error);
  EXPECT_THROW(restore(R"({"lr":1})"), Error);
}

TEST_F(CheckpointTest, AJobKeepsTheOrderThatItWasBegunWith) {
  using data::OrderVersion;
  const std::string now = R"({"order":3,"rows":[1,2]})";
  EXPECT_EQ(checkpoints("none", now).keep_order(), OrderVersion::reshuffled);
  Numbers numbers;
  checkpoints("new", now).save({1, 7}, numbers, *communicator_, {});
  EXPECT_EQ(checkpoints("new", now).keep_order(), OrderVersion::reshuffled);
  // The oldest version named none. What a new one saves of that job names the old order, and so on.
  for (const auto& [old, order] :
       {std::pair(R"({"rows":[1,2]})", OrderVersion::tail_last),
        std::pair(R"({"order":2,"rows":[1,2]})", OrderVersion::tail_mixed)}) {
    const std::string job = "old" + std::to_string(static_cast<int>(order));
    checkpoints(job, old).save({1, 7}, numbers, *communicator_, {});
    for (std::uint64_t epoch = 1; epoch <= 3; ++epoch) {
      Checkpoints next = checkpoints(job, now);
      EXPECT_EQ(next.keep_order(), order);
      EXPECT_NO_THROW(next.restore({epoch, 7}, numbers, *communicator_));
      next.save({epoch + 1, 7}, numbers, *communicator_, {});
    }
    // It cannot be restored with the wrong order.
    EXPECT_THROW(checkpoints(job, now).restore({4, 7}, numbers, *communicator_), Error);
  }
}

TEST_F(CheckpointTest, AJobKeepsTheSplitThatItWasBegunWith) {
  Numbers numbers;
  EXPECT_EQ(checkpoints("none").split(), "");
  checkpoints("without").save({1, 7}, numbers, *communicator_, {});
  EXPECT_EQ(checkpoints("without").split(), "");
  Checkpoints first = checkpoints("with");
  first.set_split("which rows");
  first.save({1, 7}, numbers, *communicator_, {});
  for (std::uint64_t epoch = 1; epoch <= 3; ++epoch) {
    Checkpoints next = checkpoints("with");
    EXPECT_EQ(next.split(), "which rows");
    next.restore({epoch, 7}, numbers, *communicator_);
    next.save({epoch + 1, 7}, numbers, *communicator_, {});
  }
  // A suspension holds it too.
  Checkpoints suspended = checkpoints("suspended");
  suspended.set_split("other rows");
  SavedState state;
  state.take(numbers, *communicator_);
  suspended.suspend({0, 3}, {}, state, {});
  Checkpoints next = checkpoints("suspended");
  ASSERT_TRUE(next.suspension());
  EXPECT_EQ(next.split(), "other rows");
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
  EXPECT_THROW(checkpoints("job", R"({"rows":[7]})").restore({1, 1}, numbers, *communicator_),
               Error);
  EXPECT_THROW(checkpoints("job").restore({2, 2}, numbers, *communicator_), Error);
}

TEST_F(CheckpointTest, ADamagedOneIsNeverRestored) {
  Numbers numbers;
  Checkpoints writing = checkpoints("job");
  writing.save({1, 1}, numbers, *communicator_, {});
  writing.save({2, 2}, numbers, *communicator_, {});
  damage("job/0_2.1.safetensors");
  EXPECT_EQ(checkpoints("job").load_newest(), (Progress{1, 1}));
  EXPECT_THROW(checkpoints("job").restore({2, 2}, numbers, *communicator_), Error);
  damage("job/0_2.0.safetensors");
  try {
    checkpoints("job").load_newest();
    FAIL() << "a damaged checkpoint was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::data_corrupt);
    EXPECT_NE(std::string(error.what()).find("0_2."), std::string::npos) << error.what();
  }
}

TEST_F(CheckpointTest, ARecordComesAfterItsStateAndGoesWithIt) {
  Numbers numbers;
  std::vector<std::string> saved;
  Checkpoints writing(storage::with_faults(store_,
                                           [&](std::string_view verb, std::string_view key) {
                                             if (verb == "save") saved.emplace_back(key);
                                           }),
                      "job", nlohmann::json::object(), 0, 2, {}, 0);
  writing.save({1, 7}, numbers, *communicator_, {});
  writing.save({2, 14}, numbers, *communicator_, {});
  EXPECT_EQ(saved, (std::vector<std::string>{"job/0_2.0.safetensors", "job/0_2.0.commit",
                                             "job/0_2.1.safetensors", "job/0_2.1.commit"}));
  const auto record =
      CommitRecord::from_json(store_->load("job/0_2.1.commit")->text(), "job/0_2.1.safetensors");
  ASSERT_TRUE(record);
  EXPECT_EQ(record->progress, (Progress{2, 14}));
  EXPECT_EQ(record->bytes, store_->load(record->key)->size());
  writing.forget_after(1);
  EXPECT_EQ(store_->list("").size(), 2U);
  writing.forget_after(0);
  EXPECT_TRUE(store_->list("").empty());
}

TEST_F(CheckpointTest, TheStateIsLoadedOnceAndByItsWorkerAlone) {
  save(3);
  std::vector<std::string> loaded;
  Checkpoints reading(storage::with_faults(store_,
                                           [&](std::string_view verb, std::string_view key) {
                                             if (verb == "load" && key.ends_with(".safetensors"))
                                               loaded.emplace_back(key);
                                           }),
                      "job", nlohmann::json::object(), 0, 2, {}, 0);
  EXPECT_EQ(reading.available(), (std::vector<Progress>{{3, 21}, {2, 14}}));
  EXPECT_TRUE(loaded.empty());
  EXPECT_EQ(reading.load_round(14), (Progress{2, 14}));
  reading.keep_order();
  Numbers numbers;
  reading.restore({2, 14}, numbers, *communicator_);
  EXPECT_EQ(loaded, std::vector<std::string>{"job/0_2.1.safetensors"});
}

TEST_F(CheckpointTest, AWholeStateCountsMoreThanItsRecord) {
  save(2);
  const auto record =
      CommitRecord::from_json(store_->load("job/0_2.1.commit")->text(), "job/0_2.1.safetensors");
  ASSERT_TRUE(record);
  const auto with = [&](const auto& change) {
    CommitRecord other = *record;
    change(other);
    store_->save("job/0_2.1.commit", as_bytes(other.to_json()));
  };
  // Sealed records, as damage does not leave them; no run must be lost to one.
  with([](CommitRecord& other) { other.bytes = 5; });
  EXPECT_EQ(checkpoints("job").load_round(14), (Progress{2, 14}));
  with([](CommitRecord& other) { other.checksum ^= 1; });
  EXPECT_EQ(checkpoints("job").load_round(14), (Progress{2, 14}));
  with([](CommitRecord& other) { other.progress = {9, 63}; });
  EXPECT_EQ(checkpoints("job").load_round(14), (Progress{2, 14}));
  EXPECT_THROW(checkpoints("job").load_round(63), DamagedCheckpoint);
  with([](CommitRecord& other) { other.note.ended_by = "until"; });
  Checkpoints reading = checkpoints("job");
  EXPECT_EQ(reading.load_newest(), (Progress{2, 14}));
  EXPECT_EQ(reading.note({2, 14}).ended_by, "");
  // No event could carry such a round.
  with([](CommitRecord& other) { other.progress.round = 1ULL << 60; });
  EXPECT_EQ(checkpoints("job").available(), (std::vector<Progress>{{1, 7}}));
}

TEST_F(CheckpointTest, ASaveThatWasCutShortIsNoCheckpoint) {
  // The third state is there, over the first one; its record tells of the first one still.
  save(2);
  const Buffer old_record = std::move(*store_->load("job/0_2.0.commit"));
  save(3);
  store_->save("job/0_2.0.commit", old_record);
  EXPECT_EQ(checkpoints("job").available(), (std::vector<Progress>{{2, 14}, {1, 7}}));
  EXPECT_EQ(checkpoints("job").load_newest(), (Progress{2, 14}));
  EXPECT_THROW(checkpoints("job").load_round(7), DamagedCheckpoint);
  // A run that continues from the second checkpoint overwrites it.
  Numbers numbers;
  Checkpoints next = checkpoints("job");
  next.restore({2, 14}, numbers, *communicator_);
  next.save({3, 21}, numbers, *communicator_, {});
  EXPECT_EQ(checkpoints("job").available(), (std::vector<Progress>{{3, 21}, {2, 14}}));
  EXPECT_EQ(checkpoints("job").load_newest(), (Progress{3, 21}));
  // The first state of all, without a record.
  store_->remove("job/0_2.0.commit");
  store_->remove("job/0_2.1.commit");
  store_->remove("job/0_2.1.safetensors");
  EXPECT_EQ(checkpoints("job").available(), (std::vector<Progress>{{3, 21}}));
}

TEST_F(CheckpointTest, StatesWithoutRecordsAreRead) {
  Numbers numbers;
  save(2);
  for (const char* key : {"job/0_2.0.commit", "job/0_2.1.commit"}) store_->remove(key);
  EXPECT_EQ(checkpoints("job").available(), (std::vector<Progress>{{2, 14}, {1, 7}}));
  Checkpoints next = checkpoints("job");
  EXPECT_EQ(next.load_round(14), (Progress{2, 14}));
  next.restore({2, 14}, numbers, *communicator_);
  next.save({3, 21}, numbers, *communicator_, {});
  // One of both is recorded now; the other is found where it is asked for.
  EXPECT_EQ(checkpoints("job").available(), (std::vector<Progress>{{3, 21}}));
  EXPECT_EQ(checkpoints("job").load_round(14), (Progress{2, 14}));
  EXPECT_THROW(checkpoints("job").load_round(7), Error);
}

TEST_F(CheckpointTest, ASmallStateNeedsNoRecord) {
  largest_without_record_ = Checkpoints::kLargestWithoutRecord;
  Numbers numbers;
  Checkpoints writing = checkpoints("job");
  writing.save({1, 7}, numbers, *communicator_, {"", "line\n"});
  EXPECT_EQ(store_->list("").size(), 1U);
  EXPECT_EQ(checkpoints("job").note({1, 7}).metrics, "line\n");
  numbers.values.resize(Checkpoints::kLargestWithoutRecord / sizeof(float));
  writing.save({2, 14}, numbers, *communicator_, {});
  EXPECT_EQ(store_->list("").size(), 3U);
}

TEST_F(CheckpointTest, DamageAfterTheRecordIsFoundByWhoLoads) {
  save(2);
  damage("job/0_2.1.safetensors");
  EXPECT_EQ(checkpoints("job").available(), (std::vector<Progress>{{2, 14}, {1, 7}}));
  EXPECT_THROW(checkpoints("job").load_round(14), DamagedCheckpoint);
  EXPECT_EQ(checkpoints("job").load_round(7), (Progress{1, 7}));
  Checkpoints reading = checkpoints("job");
  Checkpoints::read_states({&reading, 1});
  EXPECT_EQ(reading.available(), (std::vector<Progress>{{1, 7}}));
  store_->remove("job/0_2.1.safetensors");
  EXPECT_THROW(checkpoints("job").load_round(14), DamagedCheckpoint);
}

/// A state of two vectors that workers have in ranges.
class Parts : public Numbers {
 public:
  explicit Parts(std::vector<comm::Range> of = {}) : ranges(std::move(of)) {
    std::size_t size = 0;
    for (const auto& [begin, end] : ranges) size += end - begin;
    first.resize(ranges.empty() && !is_empty ? kSize : size);
    second.resize(first.size());
  }
  /// All of it, as a worker has it that shares it with no other.
  static Parts whole() { return Parts(); }
  static Parts nothing() {
    Parts parts;
    parts.is_empty = true;
    parts.first.clear();
    parts.second.clear();
    return parts;
  }

  optim::State state() override {
    return {{"values", values}, {"first_moment", first}, {"second_moment", second}};
  }
  optim::Cut cut() const override {
    if (ranges.empty() && !is_empty) return {};
    return {.size = kSize, .ranges = ranges, .names = {"first_moment", "second_moment"}};
  }
  /// Fills the vectors with the places that their values have in the whole.
  void fill() {
    std::size_t at = 0;
    for (const auto& [begin, end] : all_ranges())
      for (std::size_t i = begin; i < end; ++i, ++at) {
        first[at] = static_cast<float>(i);
        second[at] = static_cast<float>(100 + i);
      }
  }
  std::vector<comm::Range> all_ranges() const {
    return ranges.empty() && !is_empty ? std::vector<comm::Range>{{0, kSize}} : ranges;
  }

  static constexpr std::size_t kSize = 10;
  std::vector<comm::Range> ranges;
  bool is_empty = false;
  std::vector<float> first, second;
};

TEST_F(CheckpointTest, VectorsThatAreCutAnewArePutTogether) {
  // Three workers, as they may be cut; the last two have one aggregator, and none.
  const std::vector<std::vector<Parts>> cuts = {
      {Parts({{0, 4}}), Parts({{4, 7}}), Parts({{7, 10}})},
      {Parts({{0, 2}, {5, 7}}), Parts({{2, 5}, {7, 10}}), Parts::nothing()},
      {Parts::whole(), Parts::nothing(), Parts::nothing()},
      {Parts::whole(), Parts::whole(), Parts::whole()}};
  for (std::size_t from = 0; from < cuts.size(); ++from)
    for (std::size_t to = 0; to < cuts.size(); ++to)
      for (const std::uint64_t without_record : {0U, 1U << 20U}) {
        const auto of = [&](std::uint32_t worker) {
          return Checkpoints(store_, "job", parse_json("{}"), worker, 3, {}, without_record);
        };
        store_->clear("");
        for (std::uint32_t worker = 0; worker < 3; ++worker) {
          Parts saved = cuts[from][worker];
          Checkpoints writing = of(worker);
          writing.save({1, 5}, saved, *communicator_, {});  // of other values
          saved.fill();
          writing.save({2, 10}, saved, *communicator_, {});
        }
        for (std::uint32_t worker = 0; worker < 3; ++worker) {
          Parts restored = cuts[to][worker];
          Parts expected = restored;
          expected.fill();
          of(worker).restore({2, 10}, restored, *communicator_);
          EXPECT_EQ(restored.first, expected.first) << from << " to " << to << ", " << worker;
          EXPECT_EQ(restored.second, expected.second) << from << " to " << to << ", " << worker;
        }
      }
}

TEST_F(CheckpointTest, APartThatNobodyHasIsMissed) {
  for (std::uint32_t worker = 0; worker < 2; ++worker) {
    Parts saved({{worker * 4, worker * 4 + 4}});
    checkpoints_of(worker).save({1, 7}, saved, *communicator_, {});
  }
  Parts restored({{0, 10}});
  restored.ranges = {{0, 10}};
  try {
    checkpoints_of(0).restore({1, 7}, restored, *communicator_);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::data_corrupt);
    EXPECT_THAT(error.what(), testing::HasSubstr("2 numbers are in no worker's checkpoint"));
  }
}

TEST_F(CheckpointTest, SaysWhichTensorsTheVectorsConsistOf) {
  Numbers numbers;
  Checkpoints writing = checkpoints("job");
  writing.set_pieces({{"conv.weight", {1, 2}}, {"conv.bias", {1}}});
  writing.save({1, 7}, numbers, *communicator_, {});
  const tensor::SafetensorsFile file(
      std::make_shared<const Buffer>(*store_->load("job/0_2.0.safetensors")), "file");
  EXPECT_EQ(parse_json(file.metadata("tensors")), parse_json(R"([
      {"begin":0,"name":"conv.weight","shape":[1,2]}, {"begin":2,"name":"conv.bias","shape":[1]}])"));
}

}  // namespace
}  // namespace lambdaml::control
