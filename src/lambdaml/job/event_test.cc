#include "lambdaml/job/event.h"

#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
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

}  // namespace
}  // namespace lambdaml::job
