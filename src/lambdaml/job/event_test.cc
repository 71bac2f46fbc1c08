#include "lambdaml/job/event.h"

#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/job/block_plan.h"
#include "lambdaml/job/job_file.h"
#include "lambdaml/job/options.h"

namespace lambdaml::job {
namespace {

TrainEvent sample() {
  TrainEvent event;
  event.job_id = "20261122-1";
  event.worker = 1;
  event.options = job_options();
  event.options.parse("workers", "2", "test");
  event.options.parse("lr", "0.25", "test");
  event.data.part_rows = {3, 2};
  event.data.features = 4;
  event.data.labels = {-1, 1};
  event.resume = true;
  event.resume_round = 17;
  return event;
}

TEST(Event, ComesBackFromJson) {
  const TrainEvent event = train_event_from_json(to_json(sample()));
  EXPECT_EQ(event.job_id, "20261122-1");
  EXPECT_EQ(event.worker, 1U);
  EXPECT_EQ(event.workers(), 2U);
  EXPECT_EQ(event.options.real("lr"), 0.25);
  EXPECT_EQ(event.data.part_rows, (std::vector<std::uint64_t>{3, 2}));
  EXPECT_EQ(event.data.labels, (std::vector<std::int32_t>{-1, 1}));
  EXPECT_EQ(event.resume_round, 17U);
  EXPECT_EQ(to_json(event), to_json(sample()));
}

TEST(Event, OfManyWorkersDoesNotGrowWithThem) {
  TrainEvent event = sample();
  const std::size_t few = to_json(event).size();
  event.options.parse("workers", "1000", "test");
  event.data.part_rows.assign(1000, 7);
  for (std::size_t i = 0; i < 300; ++i) event.data.part_rows[i] = 8;
  event.test = event.data;
  const std::string text = to_json(event);
  EXPECT_LT(text.size(), few + 300);
  const TrainEvent back = train_event_from_json(text);
  EXPECT_EQ(back.data.part_rows, event.data.part_rows);
  EXPECT_EQ(back.test->part_rows, event.data.part_rows);
  for (const auto& [from, to] :
       {std::pair("[[8,300],[7,700]]", "[[8,300],[7,701]]"),
        std::pair("[[8,300],[7,700]]", "[[8,300],[7,699]]"),
        std::pair("[[8,300],[7,700]]", "[[8,300],[7]]"),
        std::pair("[[8,300],[7,700]]", "[[[8,8,8],300],[7,700]]"),
        std::pair("[[8,300],[7,700]]", "[[\"8\",300],[7,700]]"),
        std::pair("[[8,300],[7,700]]", "[[8,300],[7,-700]]"),
        std::pair("[[8,300],[7,700]]", "[[0,300],[7,700]]"), std::pair("[[8,300],[7,700]]", "7")}) {
    std::string other = text;
    other.replace(other.find(from), std::string(from).size(), to);
    EXPECT_THROW(train_event_from_json(other), Error) << to;
  }
  // Parts that have nothing in common are told one by one.
  for (std::size_t i = 0; i < 1000; ++i) event.data.part_rows[i] = 1 + i;
  EXPECT_EQ(train_event_from_json(to_json(event)).data.part_rows, event.data.part_rows);
}

/// The sample's JSON with one piece of text replaced.
std::string broken(const std::string& from, const std::string& to) {
  std::string json = to_json(sample());
  const std::size_t at = json.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return json.replace(at, from.size(), to);
}

TEST(Event, RefusesWhatDoesNotFit) {
  for (const std::string& json :
       {std::string("[]"), std::string("{}"), std::string("{\"task\": 3}"), std::string("\xff"),
        broken("\"worker_index\":1", "\"worker_index\":2"),
        broken("\"worker_index\":1", "\"worker_index\":-1"),
        broken("\"worker_index\":1", "\"worker_index\":1.5"), broken("20261122-1", "../../etc"),
        broken("20261122-1", ".."), broken("20261122-1", ""), broken("[3,2]", "[3]"),
        broken("[3,2]", "[3,-2]"), broken("\"workers\":2", "\"workers\":0"),
        broken("\"workers\":2", "\"worker\":2"), broken("\"lr\":0.25", "\"lr\":\"fast\""),
        broken("\"resume\":true", "\"resume\":1")})
    EXPECT_THROW(train_event_from_json(json), Error) << json.substr(0, 80);
  EXPECT_THROW(task_of("{\"task\": \"trian\"}"), Error);
  EXPECT_EQ(task_of("{}"), "train");
}

PredictEvent sample_of_predictions() {
  PredictEvent event;
  event.job_id = "predict-20261122-1";
  event.worker = 1;
  event.workers = 2;
  event.channel = "file:///channel";
  event.remote = true;
  event.data.part_rows = {3, 2, 4, 1};
  event.data.features = 4;
  event.data_uri = "s3://bucket/set";
  event.parts = {{10, 11}, {20, 21}};
  event.model = {30, 31};
  event.to = "s3://bucket/results";
  event.out_format = "jsonl";
  event.probabilities = true;
  event.ignore_labels = true;
  return event;
}

TEST(Event, OfPredictionsComesBackFromJson) {
  const std::string text = to_json(sample_of_predictions());
  EXPECT_EQ(task_of(text), "predict");
  const PredictEvent event = predict_event_from_json(text);
  EXPECT_EQ(event.data.part_rows, (std::vector<std::uint64_t>{3, 2, 4, 1}));
  EXPECT_EQ(event.parts, sample_of_predictions().parts);
  EXPECT_EQ(event.model, (data::Content{30, 31}));
  EXPECT_TRUE(event.remote && event.probabilities && event.ignore_labels && !event.scores);
  EXPECT_EQ(to_json(event), text);
}

TEST(Event, OfPredictionsRefusesWhatDoesNotFit) {
  const std::string text = to_json(sample_of_predictions());
  for (const auto& [from, to] :
       {std::pair("\"worker_index\":1", "\"worker_index\":2"),
        std::pair("\"workers\":2", "\"workers\":0"),
        std::pair("\"workers\":2", "\"workers\":4"),  // whose worker 1 has one part
        std::pair("predict-20261122-1", "../x"), std::pair("\"remote\":true", "\"remote\":1"),
        std::pair("\"to\":", "\"too\":"), std::pair("\"model\":", "\"modal\":"),
        std::pair("[3,2,4,1]", "[3,2,4,-1]"), std::pair("\"parts\":[", "\"parts\":[{},")}) {
    std::string other = text;
    const std::size_t at = other.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    EXPECT_THROW(predict_event_from_json(other.replace(at, std::string(from).size(), to)), Error)
        << to;
  }
}

TEST(Event, OfPreparingComesBackFromJson) {
  PrepareEvent event;
  event.job_id = "split-20261122-1";
  event.worker = 2;
  event.workers = 3;
  event.channel = "s3://bucket/channel";
  event.remote = true;
  event.plan = {10, 11};
  event.to = "s3://bucket/set";
  event.for_job = "a-job";
  event.prefix = "data/";
  event.as = "libsvm";
  event.patience_s = 7.5;
  const std::string text = to_json(event);
  EXPECT_EQ(task_of(text), "prepare");
  const PrepareEvent back = prepare_event_from_json(text);
  EXPECT_EQ(to_json(back), text);
  EXPECT_EQ(back.plan, event.plan);
  for (const auto& [from, to] :
       {std::pair("\"plan\":", "\"plane\":"), std::pair("\"patience_s\":7.5", "\"patience_s\":0"),
        std::pair("\"worker_index\":2", "\"worker_index\":3"), std::pair("\"as\":", "\"az\":")}) {
    std::string other = text;
    ASSERT_NE(other.find(from), std::string::npos) << from;
    EXPECT_THROW(
        prepare_event_from_json(other.replace(other.find(from), std::string(from).size(), to)),
        Error)
        << to;
  }
}

TEST(Event, PlansOfBlocksComeBackFromText) {
  data::BlockPlan plan;
  plan.files = {{"s3://a/x", "1", 10, true}, {"s3://a/x", "2", 20, false}, {"s3://b", "3", 30}};
  plan.first_with_rows = 1;
  plan.block_bytes = 65536;
  plan.seed = 7;
  plan.parts = 5;
  plan.format = "csv";
  plan.options = data::format_options();
  plan.options.parse("missing", "mean", "test");
  plan.model = {2, std::make_shared<const data::Names>(data::Names{{"a", "b"}, {"no", "yes"}}),
                true};
  const std::string text = to_json(plan);
  const data::BlockPlan back = block_plan_from_json(text, "plan");
  EXPECT_EQ(to_json(back), text);
  EXPECT_EQ(back.options.text("missing"), "mean");
  EXPECT_EQ(back.files[1].folder, "s3://a/x");
  EXPECT_FALSE(back.files[1].can_be_cut);
  EXPECT_EQ(*back.model.names, *plan.model.names);
  for (const char* bad : {"", "[]", R"({"files":[]})"})
    EXPECT_THROW(block_plan_from_json(bad, "plan"), Error) << bad;
}

}  // namespace
}  // namespace lambdaml::job
