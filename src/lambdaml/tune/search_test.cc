#include "lambdaml/tune/search.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"

namespace lambdaml::tune {
namespace {

using testing::HasSubstr;

std::string error_of(const std::string& text) {
  try {
    Search search;
    read_search_text(text, "job.yaml", search);
    make_strategy(search);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument) << error.what();
    return error.what();
  }
  return "";
}

std::string with_space(const std::string& space) {
  return "data: x\ntune:\n  space:\n    " + space + "\n";
}

TEST(Search, ReadsItsSectionAndTheJob) {
  Search search;
  read_search_text(
      "data: x\nworkers: 2\ntune:\n  strategy: asha\n  trials: 9\n  space:\n"
      "    lr: {log_uniform: [1e-4, 10]}\n    model: {choice: [lr, sparse_svm]}\n"
      "    batch-size: {int: [10, 1000]}\n    momentum: {uniform: [0, 0.9]}\n",
      "job.yaml", search);
  search.id = "20261122-101500-3f9c01d2a47b";
  EXPECT_EQ(search.job.integer("workers"), 2);
  EXPECT_EQ(search.settings.text("strategy"), "asha");
  ASSERT_EQ(search.space.parameters().size(), 4U);
  EXPECT_EQ(search.space.parameters()[2].name, "batch_size");
  const Search again = Search::from_json(search.to_json(), "search");
  EXPECT_EQ(again.to_json(), search.to_json());
  EXPECT_EQ(make_strategy(again)->parameters(3), make_strategy(search)->parameters(3));
}

TEST(Search, NothingIsASettingThatIsNotSet) {
  Search search;
  read_search_text("data: x\ntune:\n  trials: ~\n  space:\n    lr: {uniform: [0.1, 1]}\n",
                   "job.yaml", search);
  EXPECT_FALSE(search.settings.is_set("trials"));
}

TEST(Search, AJobFileRepeatsIt) {
  Search search;
  read_search_text(
      "data: my data.csv\nworkers: 2\nepochs: 7\ntune:\n  strategy: asha\n  space:\n"
      "    lr: {log_uniform: [1e-4, 10]}\n    model: {choice: [lr, sparse_svm]}\n"
      "    batch-size: {int: [10, 1000]}\n    momentum: {uniform: [0, 0.9]}\n",
      "job.yaml", search);
  search.id = "20261122-101500-3f9c01d2a47b";
  Search again;
  again.settings = search.settings;  // the command names them
  again.id = search.id;
  read_search_text(job_file_of(search), "again.yaml", again);
  EXPECT_EQ(again.to_json(), search.to_json());
}

TEST(Search, SaysWhatIsWrongAndWhere) {
  EXPECT_THAT(error_of("data: x\n"), HasSubstr("the space is empty"));
  EXPECT_THAT(error_of("data: x\ntune:\n  space: {}\n"), HasSubstr("the space is empty"));
  EXPECT_THAT(error_of(with_space("lrr: {uniform: [1, 2]}")),
              HasSubstr("job.yaml:4: unknown option 'lrr', did you mean 'lr'"));
  EXPECT_THAT(error_of(with_space("lr: {uniform: [2, 1]}")), HasSubstr("wrong order"));
  EXPECT_THAT(error_of(with_space("lr: {log_uniform: [0, 1]}")), HasSubstr("no logarithm at 0"));
  EXPECT_THAT(error_of(with_space("lr: {log_uniform: [-1, 1]}")), HasSubstr("no logarithm"));
  EXPECT_THAT(error_of(with_space("lr: {uniform: [0, 1]}")), HasSubstr("must be above 0"));
  EXPECT_THAT(error_of(with_space("lr: {uniform: [nan, 1]}")), HasSubstr("a bound of lr"));
  EXPECT_THAT(error_of(with_space("lr: {uniform: [1]}")), HasSubstr("two bounds"));
  EXPECT_THAT(error_of(with_space("lr: {unifrom: [1, 2]}")), HasSubstr("did you mean 'uniform'"));
  EXPECT_THAT(error_of(with_space("lr: 0.1")), HasSubstr("write lr: {choice"));
  EXPECT_THAT(error_of(with_space("lr: {choice: []}")), HasSubstr("is empty"));
  EXPECT_THAT(error_of(with_space("model: {choice: [lr, smv]}")), HasSubstr("'svm'"));
  EXPECT_THAT(error_of(with_space("model: {uniform: [1, 2]}")), HasSubstr("no number"));
  EXPECT_THAT(error_of(with_space("batch_size: {uniform: [1, 2]}")), HasSubstr("use int"));
  EXPECT_THAT(error_of(with_space("batch_size: {int: [1.5, 2]}")), HasSubstr("whole numbers"));
  EXPECT_THAT(error_of(with_space("data: {choice: [a, b]}")), HasSubstr("cannot be searched"));
  EXPECT_THAT(error_of("data: x\ntune:\n  strtegy: grid\n"), HasSubstr("did you mean 'strategy'"));
  EXPECT_THAT(error_of("data: x\ntune: [1]\n"), HasSubstr("tune is a map"));
}

TEST(Search, SaysBeforehandWhatCannotCome) {
  const std::string lr = "  space: {lr: {uniform: [1, 2]}}\n";
  EXPECT_THAT(error_of("data: x\ntune:\n  strategy: grid\n  points: 10001\n" + lr),
              HasSubstr("--trials"));
  EXPECT_EQ(error_of("data: x\ntune:\n  strategy: grid\n  trials: 5\n  points: 10001\n" + lr), "");
  EXPECT_THAT(error_of("data: x\ntune:\n  budget: 1e-9\n" + lr),
              HasSubstr("too small for one trial"));
  EXPECT_EQ(error_of("data: x\ntune:\n  budget: 1\n" + lr), "");
  EXPECT_THAT(error_of("data: x\nvalid_ratio: 0\ntune:\n" + lr), HasSubstr("valid_ratio is 0"));
  EXPECT_THAT(error_of("data: x\nmodel: kmeans\ntune:\n" + lr), HasSubstr("inertia"));
  EXPECT_THAT(error_of("data: x\ntune:\n  metric: cost_usd\n" + lr), HasSubstr("--until"));
}

TEST(Search, TheMetricsToChooseFromAreTheModels) {
  const Options settings = search_options();
  const Option& metric = *settings.find("metric");
  EXPECT_THAT(metric.choices,
              testing::UnorderedElementsAre("valid_loss", "valid_accuracy", "valid_rmse",
                                            "valid_mae", "valid_r2", "cost_usd", "test_loss",
                                            "test_accuracy", "test_rmse", "test_mae", "test_r2",
                                            "train_loss", "train_accuracy", "train_rmse", "inertia",
                                            "valid_accuracy_top5", "test_accuracy_top5"));
  EXPECT_EQ(settings.text("metric"), "valid_loss");
  Search search;
  for (const auto& [name, higher] :
       {std::pair("valid_loss", false), std::pair("valid_accuracy", true),
        std::pair("train_accuracy", true), std::pair("inertia", false),
        std::pair("cost_usd", false)}) {
    search.settings.parse("metric", name, "test");
    EXPECT_EQ(higher_is_better(search), higher) << name;
  }
}

TEST(Segment, ARecordReadsBackTheSame) {
  Segment segment{.trial = 3, .epochs = 9, .state = Segment::State::done, .epoch = 9};
  segment.value = 0.25;
  segment.summary = std::make_shared<const nlohmann::ordered_json>(
      nlohmann::ordered_json{{"loss", 0.5}, {"epochs", 9}});
  segment.killed_usd = 0.25;
  segment.counted["job-1"] = 1'700'000'000'000;
  EXPECT_EQ(Segment::from_json(segment.to_json(), "segment").to_json(), segment.to_json());
  EXPECT_EQ(Segment::from_json(segment.to_json(), "segment").counted, segment.counted);
  for (const char* damaged : {"", "{}", "[1]", R"({"trial":-1})"})
    EXPECT_THROW(Segment::from_json(damaged, "segment"), Error) << damaged;
}

}  // namespace
}  // namespace lambdaml::tune
