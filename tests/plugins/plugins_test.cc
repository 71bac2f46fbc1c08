#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/files.h"
#include "lambdaml/base/text.h"
#include "lambdaml/job/model_file.h"
#include "lambdaml/job/options.h"
#include "lambdaml/predict/predict.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/trigger/trigger.h"
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
    std::string name =
        (std::filesystem::temp_directory_path() / "lambdaml-plugins-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    // Two rows and their mean, a hundred times.
    std::string text =
        "\x1e"
        "columns\n";
    for (int i = 0; i < 100; ++i) text += "0|1|-4\n0|3|2\n0|2|-1\n";
    write_file(folder_ / "rows.columns", as_bytes(text));
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

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

  std::filesystem::path folder_;
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

}  // namespace
}  // namespace lambdaml
