#include <mutex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/optim/testing/problems.h"
#include "lambdaml/optim/testing/testing.h"

/// Aggregators that share out the optimizer's state.
namespace lambdaml::optim::grad_avg {
namespace {

using namespace optim::testing;
using model::testing::make_model;
using model::testing::random_rows;
using model::testing::shape_of;
using ::testing::HasSubstr;

struct ShardCase {
  std::string name;
  std::map<std::string, std::string> options;
  friend void PrintTo(const ShardCase& one, std::ostream* out) { *out << one.name; }
};

Job shard_job(const ShardCase& one, std::size_t workers) {
  return {.model = [] { return make_model("lr", shape_of(6, 3)); },
          .parts = cut(random_rows(150, 6, 3, 4), workers),
          .optimizer = "grad_avg",
          .options = one.options,
          .epochs = 3,
          .batch = 16};
}

class Sharding : public ::testing::TestWithParam<ShardCase> {};

INSTANTIATE_TEST_SUITE_P(
    , Sharding,
    ::testing::Values(
        ShardCase{"momentum",
                  {{"momentum", "0.9"}, {"moments", "merged"}, {"l2", "0.01"}, {"lr", "0.05"}}},
        ShardCase{"nesterov",
                  {{"optimizer", "nesterov"}, {"momentum", "0.9"}, {"moments", "merged"}}},
        ShardCase{"adam", {{"optimizer", "adam"}, {"l2", "0.01"}, {"lr", "0.01"}}},
        ShardCase{"adamw",
                  {{"optimizer", "adamw"}, {"l2", "0.01"}, {"lr", "auto"}, {"ema", "0.9"}}},
        ShardCase{"clipped_adamw", {{"optimizer", "adamw"}, {"lr", "0.01"}, {"clip_norm", "0.1"}}},
        ShardCase{"lars",
                  {{"optimizer", "lars"}, {"momentum", "0.9"}, {"lr", "1"}, {"l2", "0.01"}}}),
    [](const auto& info) { return info.param.name; });

TEST_P(Sharding, GivesTheSameBitsForEveryNumberOfAggregators) {
  for (const std::size_t workers : {1U, 2U, 4U, 7U}) {
    Job job = shard_job(GetParam(), workers);
    const Trained whole = train(job);
    job.options["shard_optimizer"] = "true";
    for (const std::uint32_t aggregators : {1U, 2U, 3U, 7U}) {
      job.aggregators = aggregators;
      const Trained sharded = train(job);
      EXPECT_EQ(sharded.models, whole.models) << workers << " workers, " << aggregators;
      for (std::size_t e = 0; e < whole.totals.size(); ++e)
        EXPECT_EQ(sharded.totals[e].loss, whole.totals[e].loss);
    }
  }
}

TEST_P(Sharding, RestoredAfterAnyStepGoesOnBitwise) {
  Job job = shard_job(GetParam(), 3);
  job.sync_mode = "reduce_scatter";
  job.options["shard_optimizer"] = "true";
  const Trained whole = train(job);
  job.restore_each_step = true;
  EXPECT_EQ(train(job).models, whole.models);
}

TEST_P(Sharding, EachAggregatorHasTheMomentsOfItsPart) {
  constexpr std::uint32_t kWorkers = 4, kAggregators = 3;
  std::mutex mutex;
  std::vector<comm::Range> ranges;
  Options pattern = comm::pattern_options();
  pattern.set("aggregators", std::int64_t{kAggregators}, "test");
  model::testing::run_workers(
      kWorkers,
      [&](comm::Communicator& communicator) {
        const auto model = make_model("lr", shape_of(6, 3));
        const Plugin& plugin = registry().get("grad_avg");
        std::map<std::string, std::string> values = GetParam().options;
        values["shard_optimizer"] = "true";
        const auto optimizer = plugin.make(
            {.model = *model, .communicator = communicator, .rows_per_round = {1}, .rows = 1},
            options_of(plugin, values));
        optimizer->begin(std::vector<float>(model->parameter_count()));
        const Cut cut = optimizer->cut();
        ASSERT_FALSE(cut.names.empty());
        EXPECT_EQ(cut.size, 21U);
        std::size_t size = 0;
        const std::lock_guard lock(mutex);
        for (const comm::Range& range : cut.ranges) {
          ranges.push_back(range);
          size += range.second - range.first;
        }
        EXPECT_EQ(size, communicator.worker() < kAggregators ? 7U : 0U);
        for (const std::string& name : cut.names)
          EXPECT_EQ(optimizer->state().at(name).size(), size) << name;
      },
      "reduce", pattern);
  std::ranges::sort(ranges);
  EXPECT_EQ(ranges, (std::vector<comm::Range>{{0, 7}, {7, 14}, {14, 21}}));
}

TEST(ShardingElsewhere, IsRefusedInOneLine) {
  const auto refusal = [](const std::map<std::string, std::string>& options,
                          const std::string& pattern) -> std::string {
    Job job = shard_job({"", options}, 2);
    job.sync_mode = pattern;
    job.options["shard_optimizer"] = "true";
    try {
      train(job);
      return "";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::invalid_argument);
      return error.what();
    }
  };
  EXPECT_THAT(refusal({{"momentum", "0.9"}}, "reduce"), HasSubstr("--moments merged"));
  EXPECT_THAT(refusal({{"optimizer", "adam"}}, "async"), HasSubstr("a sync mode that waits"));
  // Nothing to share out.
  EXPECT_EQ(refusal({}, "async"), "");
  EXPECT_EQ(refusal({}, "reduce"), "");
}

TEST(ShardingElsewhere, DivergenceIsSaidByAll) {
  Job job{.model = [] { return std::make_unique<LeastSquares>(3); },
          .parts = cut(random_rows(40, 3, 5, 1), 2),
          .optimizer = "grad_avg",
          .options = {{"lr", "1e9"},
                      {"momentum", "0.9"},
                      {"moments", "merged"},
                      {"shard_optimizer", "true"}},
          .epochs = 30};
  try {
    train(job);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::diverged);
  }
}

}  // namespace
}  // namespace lambdaml::optim::grad_avg
