#include "lambdaml/view/job_view.h"

#include <filesystem>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/control/channel.h"
#include "lambdaml/control/job_record.h"
#include "lambdaml/control/stores.h"
#include "lambdaml/storage/registry.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/storage/wrapper.h"

namespace lambdaml::view {
namespace {

/// A job that runs, as its record and its channel show it. The channel is a folder, for that of
/// another process's memory is not looked into.
class JobViewTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string channel = "file://" + (folder_ / "channel").string();
    records_->save("job-1/job.json",
                   as_bytes(json_text(nlohmann::json{
                       {"model", "lr"}, {"workers", 2}, {"epochs", 10}, {"channel", channel}})));
    channel_ = control::open_channel(channel, "job-1");
    channel_->save(control::keys::kJob, {});
  }

  nlohmann::json status() const { return JobView::open(records_uri_ + "/job-1").status(); }

  const Scratch scratch_{"lambdaml-view-"};
  const std::filesystem::path folder_ = scratch_.path();
  const std::string records_uri_ = "file://" + (folder_ / "records").string();
  std::shared_ptr<storage::Storage> records_ = storage::open(records_uri_);
  std::shared_ptr<storage::Storage> channel_;
};

TEST_F(JobViewTest, ProgressTellsHowFarTheJobIsAndNothingElse) {
  EXPECT_EQ(status()["state"], "running");
  channel_->save(control::keys::kProgress, as_bytes(R"({"epoch":3,"round":7,"rounds":12})"));
  const nlohmann::json now = status();
  EXPECT_EQ(now["epoch"], 3);
  EXPECT_EQ(now["round"], 7);
  EXPECT_EQ(now["rounds"], 12);

  // Whoever can write into the channel says neither that the job is done nor which one it is.
  channel_->save(control::keys::kProgress,
                 as_bytes(R"({"state":"done","summary":5,"job_id":"x","workers":9,"epoch":[1]})"));
  const nlohmann::json other = status();
  EXPECT_EQ(other["state"], "running");
  EXPECT_EQ(other["job_id"], "job-1");
  EXPECT_EQ(other["workers"], 2);
  EXPECT_EQ(other["epoch"], 0);
  EXPECT_FALSE(other.contains("summary"));
  records_->clear("");
}

TEST_F(JobViewTest, EstimatesFromTheBeginAndTheEpochsDone) {
  EXPECT_FALSE(status().contains("elapsed_s")) << "a record of an older version has no begin";
  nlohmann::json record = parse_json(records_->load("job-1/job.json")->text());
  record["platform"] = "local";
  record["memory_mb"] = 1769;
  record["begun_ms"] = epoch_ms() - 60'000;
  record["epochs_done"] = 2;  // it was resumed
  records_->save("job-1/job.json", as_bytes(json_text(record)));
  const nlohmann::json begun = status();
  EXPECT_GE(begun["elapsed_s"].get<double>(), 60);
  EXPECT_GT(begun["cost_so_far_usd"].get<double>(), 0);
  EXPECT_FALSE(begun.contains("left_s")) << "no epoch has ended since";
  records_->save("job-1/metrics.jsonl",
                 as_bytes("{\"epoch\":3,\"train_loss\":0.7}\n{\"epoch\":4,\"train_loss\":0.6,"
                          "\"valid_loss\":null}\n{\"epoch\":5,\"tra"));
  channel_->save(control::keys::kProgress, as_bytes(R"({"epoch":5,"round":1,"rounds":2})"));
  const nlohmann::json now = status();
  EXPECT_EQ(now["metrics_epoch"], 4);
  EXPECT_EQ(now["metrics"], nlohmann::json({{"train_loss", 0.6}}));
  // 2.5 epochs took what has elapsed, and 5.5 are left.
  EXPECT_NEAR(now["left_s"].get<double>() / now["elapsed_s"].get<double>(), 5.5 / 2.5, 1e-9);
  EXPECT_GT(now["cost_usd_at_end"], now["cost_so_far_usd"]);
  records_->save("job-1/ended.json", as_bytes(R"({"state":"failed","error":"why"})"));
  EXPECT_EQ(status()["metrics"]["train_loss"], 0.6);
  EXPECT_FALSE(status().contains("elapsed_s")) << "of an older version";
  const std::int64_t ended_ms = now["begun_ms"].get<std::int64_t>() + 2500;
  records_->save("job-1/ended.json",
                 as_bytes(fmt::format(R"({{"state":"failed","ended_ms":{}}})", ended_ms)));
  EXPECT_EQ(status()["elapsed_s"], 2.5);
  EXPECT_GT(status()["cost_so_far_usd"], 0);
  EXPECT_FALSE(status().contains("left_s"));
  records_->clear("");
}

TEST_F(JobViewTest, ReportsThatNobodyTakesAreThoseOfAnInterruptedJob) {
  channel_->save(control::keys::result(0), as_bytes("{}"));
  EXPECT_EQ(status()["state"], "running");
  channel_->save(control::keys::result(1), as_bytes("{}"));
  const nlohmann::json now = status();
  EXPECT_EQ(now["state"], "interrupted");
  EXPECT_EQ(now["finished"], 2);
  EXPECT_NE(now["advice"].get<std::string>(), "");
  records_->save("job-1/summary.json", as_bytes(R"({"ended_by":"epochs"})"));
  EXPECT_EQ(status()["state"], "done");
  records_->clear("");
}

TEST_F(JobViewTest, AJobThatIsSilentForLongerThanItsFunctionsMayRunIsInterrupted) {
  const std::int64_t now_ms = epoch_ms();
  nlohmann::json record = parse_json(records_->load("job-1/job.json")->text());
  record["platform"] = "local";
  record["memory_mb"] = 1769;
  record["timeout_s"] = 10;
  record["begun_ms"] = now_ms - 60'000;
  records_->save("job-1/job.json", as_bytes(json_text(record)));
  const auto progress = [&](std::int64_t at_ms) {
    channel_->save(
        control::keys::kProgress,
        as_bytes(fmt::format(R"({{"epoch":3,"round":7,"rounds":12,"at_ms":{}}})", at_ms)));
    return status();
  };
  EXPECT_EQ(status()["state"], "interrupted") << "no worker has begun";
  channel_->save(control::keys::started(0), {});
  EXPECT_EQ(status()["state"], "running") << "workers of an older version say nothing of the time";
  EXPECT_EQ(progress(now_ms - 15'000)["state"], "running") << "its successor may have begun";
  const nlohmann::json silent = progress(now_ms - 25'000);
  EXPECT_EQ(silent["state"], "interrupted");
  EXPECT_EQ(silent["seen_ms"], now_ms - 25'000);
  EXPECT_DOUBLE_EQ(silent["elapsed_s"], 35);
  EXPECT_GT(silent["cost_so_far_usd"], 0);
  EXPECT_NE(silent["advice"].get<std::string>().find("no sign of life"), std::string::npos);
  record["timeout_s"] = 900;
  records_->save("job-1/job.json", as_bytes(json_text(record)));
  EXPECT_EQ(status()["state"], "running");
  // Whoever knows that nobody runs it is not told otherwise.
  control::Stores stores;
  const nlohmann::json left = JobView::open(records_uri_ + "/job-1").status_of_abandoned(stores);
  EXPECT_EQ(left["state"], "interrupted");
  EXPECT_DOUBLE_EQ(left["elapsed_s"], 35);
  records_->clear("");
}

/// Whose server is gone; and with what patience each handle on it was opened.
std::vector<std::shared_ptr<Patience>> patience_with_gone;
class Gone : public storage::Wrapper {
 public:
  using Wrapper::Wrapper;
  storage::Capabilities capabilities() const override {
    storage::Capabilities out = Wrapper::capabilities();
    out.cross_process = true;
    return out;
  }
  std::vector<std::optional<Buffer>> load_present(std::span<const std::string>) override {
    fail(Code::unavailable, "its server is gone");
  }
};
const AddedPlugin<storage::Registry> gone([](storage::Registry& registry) {
  registry.add({.name = "gone",
                .help = "a store whose server is gone",
                .open =
                    [](Uri uri, const Options&, const std::shared_ptr<Patience>& patience) {
                      patience_with_gone.push_back(patience);
                      patience->give_up();
                      uri.scheme = "memory";
                      return std::make_shared<Gone>(storage::open(uri.text()));
                    },
                .default_uri = [] { return Uri::parse("gone://x"); }});
});

TEST_F(JobViewTest, ForTheChannelOfAbandonedJobsOneLimitOfTimeHolds) {
  nlohmann::json record = parse_json(records_->load("job-1/job.json")->text());
  control::Stores stores;
  for (const char* job : {"job-1", "job-2"}) {
    record["channel"] = fmt::format("gone://x/{}", job);
    records_->save(fmt::format("{}/job.json", job), as_bytes(json_text(record)));
    const nlohmann::json left =
        JobView::open(fmt::format("{}/{}", records_uri_, job)).status_of_abandoned(stores);
    EXPECT_EQ(left["state"], "interrupted");
    EXPECT_FALSE(left.contains("seen_ms"));
  }
  // Of the second job it may not even be opened.
  ASSERT_FALSE(patience_with_gone.empty());
  EXPECT_EQ(patience_with_gone.back(), patience_with_gone.front());
  records_->clear("");
}

TEST_F(JobViewTest, ASignOfLifeIsNotInTheFuture) {
  channel_->save(control::keys::kProgress,
                 as_bytes(fmt::format(R"({{"epoch":3,"at_ms":{}}})", epoch_ms() + 3'600'000)));
  const auto seen_ms = status()["seen_ms"].get<std::int64_t>();
  EXPECT_LE(seen_ms, epoch_ms());
  records_->clear("");
}

TEST_F(JobViewTest, AnInterruptedJobHasTheTimeAndTheDollarsUntilItsLastEpoch) {
  nlohmann::json record = parse_json(records_->load("job-1/job.json")->text());
  record["platform"] = "local";
  record["memory_mb"] = 1769;
  record["begun_ms"] = epoch_ms() - 3'600'000;
  record["epochs_done"] = 2;  // it was resumed
  records_->save("job-1/job.json", as_bytes(json_text(record)));
  channel_->save(control::keys::result(0), as_bytes("{}"));
  channel_->save(control::keys::result(1), as_bytes("{}"));
  EXPECT_FALSE(status().contains("elapsed_s")) << "no epoch has ended";
  records_->save("job-1/metrics.jsonl",
                 as_bytes("{\"epoch\":2,\"compute_s\":9}\n{\"epoch\":3,\"compute_s\":40,"
                          "\"comm_s\":10}\n{\"epoch\":4,\"compute_s\":10}\n{\"epoch\":5,\"c"));
  const nlohmann::json now = status();
  EXPECT_EQ(now["state"], "interrupted");
  EXPECT_EQ(now["elapsed_s"], 60);
  EXPECT_GT(now["cost_so_far_usd"], 0);
  EXPECT_FALSE(now.contains("left_s"));

  // A run's folder here: when the last line was written.
  const auto write = [&](const char* name, const std::string& text) {
    std::filesystem::create_directories((folder_ / "run" / name).parent_path());
    write_file(folder_ / "run" / name, as_bytes(text));
  };
  write("run.json", R"({"job_id":"20261129-101500-3f9c01d2a47b"})");
  write("job.yaml", "data: x\n");
  write("metrics.jsonl", "{\"epoch\":3,\"train_loss\":0.5}\n");
  write("checkpoint/20261129-101500-3f9c01d2a47b/job.json", json_text(record));
  const nlohmann::json here = JobView::open((folder_ / "run").string()).status();
  EXPECT_EQ(here["state"], "interrupted");
  EXPECT_NEAR(here["elapsed_s"].get<double>(), 3600, 30);
  EXPECT_GT(here["cost_so_far_usd"], 0);
  records_->clear("");
}

TEST_F(JobViewTest, ATrialWhoseSearchHasRemovedItsRecordIsKnownByItsSummary) {
  const auto write = [&](const char* name, const std::string& text) {
    std::filesystem::create_directories(folder_ / "run");
    write_file(folder_ / "run" / name, as_bytes(text));
  };
  write("run.json", R"({"job_id":"20261129-101500-3f9c01d2a47b-0003"})");
  write("job.yaml", "data: x\n");
  EXPECT_THROW(JobView::open((folder_ / "run").string()), Error);
  write("summary.json", R"({"model":"lr","workers":4,"ended_by":"epochs","cost_usd":0.5})");
  const JobView view = JobView::open((folder_ / "run").string());
  EXPECT_EQ(view.workers(), 4U);
  EXPECT_TRUE(view.has_ended());
  EXPECT_EQ(view.status()["state"], "done");
  EXPECT_EQ(view.status()["workers"], 4);
  EXPECT_EQ(view.status()["summary"]["cost_usd"], 0.5);
}

}  // namespace
}  // namespace lambdaml::view
