#include "lambdaml/control/worker_status.h"

#include <gtest/gtest.h>

#include "lambdaml/control/channel.h"
#include "lambdaml/storage/wrapper.h"

namespace lambdaml::control {
namespace {

/// Counts what is asked of it, and refuses to be asked key by key.
class InBatches : public storage::Wrapper {
 public:
  using Wrapper::Wrapper;
  std::optional<Buffer> load(std::string_view key) override {
    ADD_FAILURE() << key << " is loaded by itself";
    return Wrapper::load(key);
  }
  std::vector<std::optional<Buffer>> load_present(std::span<const std::string> keys) override {
    ++batches;
    return Wrapper::load_present(keys);
  }
  int batches = 0;
};

class WorkerStatusTest : public testing::Test {
 protected:
  void say(const std::string& key, std::string_view text) { store_->save(key, as_bytes(text)); }
  void TearDown() override { store_->clear(""); }

  std::shared_ptr<storage::Storage> store_ = storage::open("memory://worker-words-test");
  InBatches channel_{store_};
};

TEST_F(WorkerStatusTest, TheEndsOfAllWorkersComeInOneBatch) {
  say(keys::result(1), "report");
  say(keys::failure(2), "why");
  say(keys::result(3), "report of a later attempt");
  say(keys::failure(3), "why an earlier one gave up");
  say(keys::result(4), "of one that nobody asks for");
  const std::vector<std::uint32_t> workers{3, 2, 1, 0};
  const auto ends = ends_of_workers(channel_, workers);
  EXPECT_EQ(channel_.batches, 1);
  ASSERT_EQ(ends.size(), 4U);
  EXPECT_FALSE(ends[0]->has_failed);
  EXPECT_EQ(ends[0]->text, "report of a later attempt");
  EXPECT_TRUE(ends[1]->has_failed);
  EXPECT_EQ(ends[1]->text, "why");
  EXPECT_EQ(ends[2]->text, "report");
  EXPECT_FALSE(ends[3]);
}

TEST_F(WorkerStatusTest, TheProgressOfAJobComesInOneBatch) {
  EXPECT_FALSE(progress_of_job(channel_, 3).of_worker_0);
  say(keys::kProgress, "far");
  say(keys::started(0), R"({"at_ms":1700000000001})");
  say(keys::started(1), R"({"at_ms":1700000000003})");
  say(keys::started(2), "");
  say(keys::result(1), "report");
  const JobProgress progress = progress_of_job(channel_, 3);
  EXPECT_EQ(channel_.batches, 2);
  EXPECT_EQ(progress.started, 3U);
  EXPECT_EQ(progress.finished, 1U);
  EXPECT_EQ(progress.of_worker_0, "far");
  EXPECT_EQ(progress.seen_ms, 1700000000003U);
  say(keys::kProgress, R"({"epoch":1,"at_ms":1700000000009})");
  EXPECT_EQ(progress_of_job(channel_, 3).seen_ms, 1700000000009U);
}

}  // namespace
}  // namespace lambdaml::control
