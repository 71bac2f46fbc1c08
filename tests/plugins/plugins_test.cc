#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/base/testing/testing.h"
#include "lambdaml/base/text.h"
#include "lambdaml/cost/cost.h"
#include "lambdaml/job/model_file.h"
#include "lambdaml/job/options.h"
#include "lambdaml/predict/predict.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/trigger/trigger.h"
#include "lambdaml/tune/search.h"
#include "lambdaml/tune/segment_job.h"
#include "lambdaml/worker/worker.h"

/// The tests' own plug-ins: each passes its layer's conformance suite, and a job uses nothing but
/// them, because none of the layers above a plug-in's knows its kind by name.
namespace lambdaml {
namespace {

using testing::IsEmpty;
using testing::Not;

/// The tests of conformance suites that have this parameter.
std::vector<std::string> conformance_tests_of(const std::string& plugin) {
  std::vector<std::string> out;
  const testing::UnitTest& all = *testing::UnitTest::GetInstance();
  for (int s = 0; s < all.total_test_suite_count(); ++s) {
    const testing::TestSuite& suite = *all.GetTestSuite(s);
    if (!std::string_view(suite.name()).ends_with("Conformance")) continue;
    for (int t = 0; t < suite.total_test_count(); ++t) {
      const testing::TestInfo& test = *suite.GetTestInfo(t);
      if (test.value_param() != nullptr && std::string_view(test.name()).ends_with("/" + plugin))
        out.push_back(std::string(suite.name()) + "." + test.name());
    }
  }
  return out;
}

class Plugins : public testing::Test {
 protected:
  void SetUp() override {
    worker::register_handler();
    // Two rows and their mean, a hundred times.
    std::string text =
        "\x1e"
        "columns\n";
    for (int i = 0; i < 100; ++i) text += "0|1|-4\n0|3|2\n0|2|-1\n";
    write_file(folder_ / "rows.columns", as_bytes(text));
  }

  Options job() const {
    Options options = job::job_options();
    for (const auto& [name, value] :
         std::map<std::string, std::string>{{"data", (folder_ / "rows.columns").string()},
                                            {"format", "columns"},
                                            {"column_separator", "|"},
                                            {"model", "centroid"},
                                            {"optim", "sign_avg"},
                                            {"sign_step", "0.05"},
                                            {"sync_mode", "gather"},
                                            {"channel", "scrapbook://job?page_bytes=200"},
                                            {"platform", "relay"},
                                            {"relay_to", "threads"},
                                            {"workers", "3"},
                                            {"epochs", "40"},
                                            {"batch_size", "30"},
                                            {"until", "spread<=6.7"},
                                            {"output", (folder_ / "run").string()}})
      options.parse(name, value, "test");
    return options;
  }

  const Scratch scratch_{"lambdaml-plugins-"};
  const std::filesystem::path folder_ = scratch_.path();
};

TEST_F(Plugins, RunTheConformanceSuites) {
  for (const std::string& plugin : split(LAMBDAML_TEST_PLUGINS, ','))
    EXPECT_THAT(conformance_tests_of(plugin), Not(IsEmpty())) << plugin;
}

TEST_F(Plugins, MakeAJobTogether) {
  trigger::Observer observer;
  const nlohmann::json summary = trigger::train(job(), observer);
  // Of (1, −4), (3, 2) and (2, −1) about their mean: (1 + 9 + 1 + 9) / 3.
  EXPECT_NEAR(summary.at("spread").get<double>(), 20.0 / 3, 0.04);
  EXPECT_LT(summary.at("epochs").get<int>(), 40) << "the model's own metric ends it";
  EXPECT_TRUE(storage::open("scrapbook://job")->list("").empty());

  job::TrainedModel model = job::read_model((folder_ / "run/model.safetensors").string());
  EXPECT_EQ(model.parameters.size(), 2U);
  EXPECT_NEAR(model.parameters[0], 2, 0.19);
  EXPECT_NEAR(model.parameters[1], -1, 0.19);
}

TEST_F(Plugins, OnAPlatformThatQueuesWorkersMustNotWaitForEachOther) {
  Options options = job();
  options.parse("platform", "relay_queue", "test");
  trigger::Observer observer;
  EXPECT_THAT(error_of([&] { trigger::train(options, observer); }),
              testing::AllOf(testing::StartsWith("invalid_argument"),
                             testing::HasSubstr("relay_queue queues functions"),
                             testing::HasSubstr("--sync-mode async")));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run"));
  // One worker waits for nobody, and asynchronous ones do not either.
  options.parse("workers", "1", "test");
  EXPECT_EQ(error_of([&] { trigger::train(options, observer); }), "");
  options.parse("workers", "3", "test");
  options.parse("sync_mode", "async", "test");
  options.parse("output", (folder_ / "async").string(), "test");
  EXPECT_EQ(error_of([&] { trigger::train(options, observer); }), "");
}

/// Jobs and searches on functions that were deployed with other memory than their options name.
class DeployedMemory : public Plugins {
 protected:
  Options job_on(int function_mb, int memory_mb) const {
    Options options = job();
    options.parse("relay_function_mb", std::to_string(function_mb), "test");
    options.parse("memory_mb", std::to_string(memory_mb), "test");
    options.parse("until", "", "test");
    return options;
  }
  /// With a model of 80 MB, whose merging takes 480 MB.
  Options wide_job_on(int function_mb, int memory_mb) const {
    write_file(folder_ / "wide.libsvm", as_bytes("1 1:1\n0 20000000:1\n1 2:1\n0 3:1\n"));
    Options options = job_on(function_mb, memory_mb);
    for (const auto& [name, value] :
         std::map<std::string, std::string>{{"data", (folder_ / "wide.libsvm").string()},
                                            {"format", "sparse_libsvm"},
                                            {"model", "lr"},
                                            {"optim", "grad_avg"},
                                            {"sync_mode", "async"},
                                            {"workers", "2"},
                                            {"channel", "memory://deployed-memory"}})
      options.parse(name, value, "test");
    return options;
  }
};

/// Ends its job as soon as the workers would start.
class OnlyTheStart : public trigger::Observer {
 public:
  void starting(const trigger::JobStart& job) override {
    memory_mb = job.memory_mb;
    fail(Code::cancelled, "seen enough");
  }
  std::int64_t memory_mb = 0;
};

TEST_F(DeployedMemory, IsWhatAJobMustGetAlongWith) {
  OnlyTheStart small;
  EXPECT_THAT(error_of([&] { trigger::train(wide_job_on(128, 3008), small); }),
              testing::AllOf(testing::StartsWith("invalid_argument"),
                             testing::HasSubstr("a function may use 128 MB")));
  OnlyTheStart large;
  EXPECT_THAT(error_of([&] { trigger::train(wide_job_on(3008, 128), large); }),
              testing::StartsWith("cancelled"));
  EXPECT_EQ(large.memory_mb, 3008);
}

TEST_F(DeployedMemory, IsWhatATrialCosts) {
  Options options = job_on(10240, 1769);
  options.parse("epochs", "1000000000", "test");
  options.parse("checkpoint", (folder_ / "kept").string(), "test");
  tune::Bell bell;
  tune::SegmentJob job("20261129-101500-3f9c01d2a47b", options, 0, bell);
  while (job.cost_so_far() == 0) {
    ASSERT_FALSE(job.has_ended()) << error_of([&] { job.summary(); });
    bell.wait(0.01);
  }
  // The interval between the two costs holds the inner one of times and is within the outer one.
  const double outer_from_s = job.seconds();
  const double from = job.cost_so_far();
  const double inner_from_s = job.seconds();
  bell.wait(0.2);
  const double inner_to_s = job.seconds();
  const double to = job.cost_so_far();
  const double outer_to_s = job.seconds();
  ASSERT_FALSE(job.has_ended());
  const cost::Prices prices = cost::Prices::current();
  const double rate =
      3 * (prices.of_function("lambda", 1, 10240, "") - prices.of_function("lambda", 0, 0, ""));
  EXPECT_GE(to - from, 0.999 * rate * (inner_to_s - inner_from_s));
  EXPECT_LE(to - from, 1.001 * rate * (outer_to_s - outer_from_s));
}

TEST_F(DeployedMemory, IsWhatTheLeastCostOfASearchCounts) {
  const auto search_on = [&](int function_mb, int memory_mb) {
    tune::Search search;
    search.job = job_on(function_mb, memory_mb);
    search.space = tune::Space(
        {{.name = "sign_step", .kind = tune::Parameter::Kind::choice, .choices = {0.1, 0.2}}});
    search.settings.parse("metric", "spread", "test");
    search.settings.parse("budget", "1.5e-6", "test");
    return search;
  };
  EXPECT_NO_THROW(tune::make_strategy(search_on(128, 10240)));
  EXPECT_THAT(error_of([&] { tune::make_strategy(search_on(10240, 128)); }),
              testing::HasSubstr("too small for one trial"));
}

}  // namespace
}  // namespace lambdaml
