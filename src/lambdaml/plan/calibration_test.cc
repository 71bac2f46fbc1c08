#include "lambdaml/plan/calibration.h"

#include <filesystem>

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
  EXPECT_TRUE(measured.is_complete);
  EXPECT_GT(measured.requests, 50U);
  const sim::Profile profile = sim::Profile::parse(measured.profile, "measured");
  const sim::StoreProfile& store = profile.store("file");
  EXPECT_GT(store.put.mean(), 0);
  EXPECT_GT(store.get.mean(), 0);
  EXPECT_GE(store.put.expected_longest(10), store.put.mean());
  EXPECT_TRUE(store.durable);
  EXPECT_GE(profile.functions.host_processors, 1);
  EXPECT_TRUE(storage::open(channel())->list("").empty()) << "nothing of it stays";
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
