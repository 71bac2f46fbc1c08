#include "lambdaml/control/job_checkpoints.h"

#include <map>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/control/channel.h"
#include "lambdaml/control/data_record.h"
#include "lambdaml/control/job_record.h"
#include "lambdaml/optim/optimizer.h"
#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/testing/faults.h"

namespace lambdaml::control {
namespace {

constexpr std::uint32_t kWorkers = 8;
constexpr std::size_t kValues = 20'000;

/// State without a method.
class Large : public optim::Optimizer {
 public:
  void begin(std::span<const float>) override {}
  model::Totals step(const model::Batch&, const optim::Position&) override { return {}; }
  std::span<const float> parameters() const override { return values_; }
  optim::State state() override { return {{"values", values_}}; }
  std::vector<double> scalars() const override { return {4}; }
  void set_scalars(std::span<const double>) override {}

 private:
  std::vector<float> values_ = std::vector<float>(kValues, 1.5F);
};

class JobCheckpointsTest : public testing::Test {
 protected:
  void TearDown() override { store_->clear(""); }
  Checkpoints of(std::uint32_t worker, std::shared_ptr<storage::Storage> store) const {
    return {std::move(store), "job", nlohmann::json::object(), worker, kWorkers};
  }
  /// Saves that worker's epochs 1, 2, …, of 10 rounds each.
  void save(std::uint32_t worker, std::uint64_t epochs) {
    Checkpoints own = of(worker, store_);
    for (std::uint64_t epoch = 1; epoch <= epochs; ++epoch)
      own.save({epoch, 10 * epoch}, large_, *communicator_,
               {"", "line " + std::to_string(epoch) + "\n"});
  }
  static std::string state_key(std::uint32_t worker, int slot) {
    return fmt::format("job/{}_{}.{}.safetensors", worker, kWorkers, slot);
  }
  void damage(const std::string& key) {
    Buffer bytes = std::move(*store_->load(key));
    bytes.data()[bytes.size() - 3] ^= std::byte{1};
    store_->save(key, bytes);
  }
  std::vector<std::string> keys_left() {
    std::vector<std::string> keys;
    for (const storage::Entry& entry : store_->list("")) keys.push_back(entry.key);
    return keys;
  }
  std::optional<Progress> newest(bool together = true) {
    JobCheckpoints all(store_, "job", kWorkers);
    const auto start = all.newest_common(together);
    return start ? std::optional(start->progress) : std::nullopt;
  }

  std::shared_ptr<storage::Storage> store_ = storage::open("memory://job-checkpoints-test");
  std::unique_ptr<comm::Communicator> communicator_ = comm::registry().get("reduce").make({});
  Large large_;
};

TEST_F(JobCheckpointsTest, AJobGoesOnByItsRecordsAndEachStateIsLoadedOnce) {
  // Some were cut off before the fourth epoch was saved.
  for (std::uint32_t worker = 0; worker < kWorkers; ++worker) save(worker, worker < 5 ? 4 : 3);
  std::map<std::string, int> loads;
  const auto meter = std::make_shared<storage::Meter>();
  const auto metered = storage::with_faults(
      storage::with_meter(storage::open("memory://job-checkpoints-test"), meter),
      [&](std::string_view verb, std::string_view key) {
        if (verb == "load" || verb == "load_present") ++loads[std::string(key)];
      });
  JobCheckpoints all(metered, "job", kWorkers);
  const auto start = all.newest_common(true);
  ASSERT_TRUE(start);
  EXPECT_EQ(start->progress, (Progress{3, 30}));
  EXPECT_EQ(start->metrics, "line 3\n");
  const storage::Usage chosen = meter->usage();
  EXPECT_EQ(chosen.get.requests, 2 * kWorkers);
  EXPECT_LT(chosen.get.bytes, 2 * kWorkers * 500);
  EXPECT_EQ(loads.size(), 2 * kWorkers);
  all.forget_after(3);
  for (std::uint32_t worker = 0; worker < kWorkers; ++worker) {
    Checkpoints own = of(worker, metered);
    EXPECT_EQ(own.load_round(30), (Progress{3, 30}));
    own.keep_order();
    own.restore({3, 30}, large_, *communicator_);
  }
  std::size_t states = 0;
  for (const auto& [key, times] : loads) {
    if (!key.ends_with(".safetensors")) continue;
    EXPECT_EQ(times, 1) << key;
    ++states;
  }
  EXPECT_EQ(states, kWorkers);
  // The records twice, by the trigger and by their workers, and one state a worker.
  const storage::Usage all_of_it = meter->usage();
  EXPECT_EQ(all_of_it.get.requests, 5 * kWorkers);
  EXPECT_LT(all_of_it.get.bytes, kWorkers * (kValues * sizeof(float) + 4 * 500 + 2000));
  // No later checkpoint is left that a worker could begin at by mistake.
  EXPECT_EQ(store_->list("").size(), 2 * (2 * kWorkers - 5));
}

TEST_F(JobCheckpointsTest, WithoutRecordsTheStatesTell) {
  for (std::uint32_t worker = 0; worker < kWorkers; ++worker) save(worker, 3);
  // As an old version leaves them: no record at all.
  for (const storage::Entry& entry : store_->list(""))
    if (entry.key.ends_with(".commit")) store_->remove(entry.key);
  EXPECT_EQ(newest(), (Progress{3, 30}));
  // The job continues; one worker is a checkpoint ahead, and one has not reached its first.
  for (std::uint32_t worker = 0; worker + 1 < kWorkers; ++worker) {
    Checkpoints own = of(worker, store_);
    EXPECT_EQ(own.load_round(30), (Progress{3, 30}));
    own.restore({3, 30}, large_, *communicator_);
    own.save({4, 40}, large_, *communicator_, {});
  }
  EXPECT_EQ(newest(), (Progress{3, 30}));
}

TEST_F(JobCheckpointsTest, AStateThatWasDamagedIsPassedOverByAll) {
  for (std::uint32_t worker = 0; worker < kWorkers; ++worker) save(worker, 4);
  damage(state_key(5, 1));
  EXPECT_EQ(newest(), (Progress{4, 40}));
  EXPECT_THROW(of(5, store_).load_round(40), Error);
  JobCheckpoints all(store_, "job", kWorkers);
  all.read_states();
  const auto start = all.newest_common(true);
  ASSERT_TRUE(start);
  EXPECT_EQ(start->progress, (Progress{3, 30}));
  EXPECT_EQ(start->metrics, "line 3\n");
  all.forget_after(3);
  for (std::uint32_t worker = 0; worker < kWorkers; ++worker)
    EXPECT_EQ(of(worker, store_).load_round(30), (Progress{3, 30}));
  damage(state_key(5, 0));
  JobCheckpoints again(store_, "job", kWorkers);
  EXPECT_THROW(again.read_states(), Error);
}

TEST_F(JobCheckpointsTest, WorkersThatDoNotWaitEachGoOnFromTheirOwn) {
  for (std::uint32_t worker = 0; worker < kWorkers; ++worker) save(worker, 1 + worker % 4);
  EXPECT_EQ(newest(false), (Progress{1, 10}));
  EXPECT_FALSE(newest(true));
}

/// What a job without results leaves where its checkpoints are, which may be its channel's place.
TEST_F(JobCheckpointsTest, AForgottenJobKeepsWhatItHasInItsChannel) {
  JobRecord record(store_, "job");
  const auto begin = [&] {
    for (std::uint32_t worker = 0; worker < 2; ++worker) save(worker, 2);
    store_->save("job/10_12.suspended.safetensors", {});
    for (const char* name : {record::kJob, record::kOptions, record::kMetrics, record::kWorkers})
      record.keep(name, "{}");
    store_->save(keys::log("job", 11), {});
    DataRecord(store_, "job").begin({{"a", {1, 2}}});
    store_->save("job2/job.json", {});
  };
  begin();
  EXPECT_GT(store_->list("job/").size(), 10U);
  record.forget();
  EXPECT_THAT(keys_left(), testing::ElementsAre("job2/job.json"));

  begin();
  const auto channel = storage::with_prefix(store_, "job/");
  const std::vector<std::string> of_channel{keys::claim(0),   keys::kStop, keys::kJob,
                                            keys::metrics(1), "data/0_2",  "0/1_2"};
  for (const std::string& key : of_channel) channel->save(key, {});
  record.forget();
  EXPECT_THAT(keys_left(), testing::UnorderedElementsAre(
                               "job/" + of_channel[0], "job/" + of_channel[1],
                               "job/" + of_channel[2], "job/" + of_channel[3],
                               "job/" + of_channel[4], "job/" + of_channel[5], "job2/job.json"));
}

TEST_F(JobCheckpointsTest, NothingIsCommonWithAWorkerThatHasNone) {
  EXPECT_FALSE(newest());
  for (std::uint32_t worker = 1; worker < kWorkers; ++worker) save(worker, 2);
  EXPECT_FALSE(newest());
  EXPECT_FALSE(newest(false));
  JobCheckpoints all(store_, "job", kWorkers);
  all.forget_after(0);
  EXPECT_TRUE(store_->list("").empty());
}

}  // namespace
}  // namespace lambdaml::control
