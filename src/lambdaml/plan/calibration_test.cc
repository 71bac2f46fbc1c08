#include "lambdaml/plan/calibration.h"

#include <atomic>
#include <chrono>
#include <filesystem>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/testing/testing.h"
#include "lambdaml/sim/profile.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::plan {
namespace {

namespace fs = std::filesystem;

class Calibrated : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / fmt::format("lambdaml-calibration-test-{}", ::getpid());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string channel() const { return "file://" + (folder_ / "store").string(); }

  fs::path folder_;
};

TEST_F(Calibrated, WhatIsMeasuredIsAProfile) {
  const Calibration measured = calibrate(channel(), 0.2);
  EXPECT_EQ(measured.ended_by, std::nullopt);
  EXPECT_GT(measured.requests, 50U);
  const sim::Profile profile = sim::Profile::parse(measured.profile, "measured");
  const sim::StoreProfile& store = profile.store("file");
  EXPECT_GT(store.put.mean(), 0);
  EXPECT_GT(store.get.mean(), 0);
  EXPECT_GE(store.put.expected_longest(10), store.put.mean());
  EXPECT_TRUE(store.durable);
  EXPECT_EQ(store.put_keys, 1);
  EXPECT_EQ(store.get_keys, 1);
  EXPECT_EQ(store.remove_keys, 1);
  EXPECT_GE(profile.functions.host_processors, 1);
  EXPECT_TRUE(storage::open(channel())->list("").empty()) << "nothing of it stays";
}

TEST_F(Calibrated, AnErrorEndsItAndIsTold) {
  // The store is gone in the midst.
  std::atomic<bool> is_over = false;
  std::thread breaks([&] {
    while (!is_over && !fs::exists(folder_ / "store")) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    fs::rename(folder_ / "store", folder_ / "gone");
    write_file(folder_ / "store", as_bytes("a file"));
  });
  const Calibration measured = calibrate(channel(), 1);
  is_over = true;
  breaks.join();
  ASSERT_TRUE(measured.ended_by);
  EXPECT_THAT(*measured.ended_by, testing::HasSubstr("store"));
  EXPECT_THAT(measured.profile, testing::HasSubstr("ended early: "));
  EXPECT_GT(sim::Profile::parse(measured.profile, "measured").store("file").put.mean(), 0);
}

TEST_F(Calibrated, StartsAreThoseOfFinishedJobs) {
  write_file(folder_ / "workers.jsonl",
             as_bytes("{\"startup_s\":0.25}\n{\"startup_s\":0.25}\n{\"trigger\":{}}\n"));
  const Calibration measured = calibrate(channel(), 0.1, {folder_.string()});
  const sim::Profile profile = sim::Profile::parse(measured.profile, "measured");
  EXPECT_NEAR(profile.functions.cold_start.mean(), 0.25, 0.01);
  EXPECT_THROW(calibrate(channel(), 0.1, {(folder_ / "none").string()}), Error);
}

}  // namespace
}  // namespace lambdaml::plan
