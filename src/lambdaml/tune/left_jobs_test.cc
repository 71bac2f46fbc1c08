#include "lambdaml/tune/left_jobs.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/json.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/tune/begin_search.h"
#include "lambdaml/tune/orders.h"
#include "lambdaml/tune/testing/small_search.h"
#include "lambdaml/tune/tuner.h"

namespace lambdaml::tune {
namespace {

using nlohmann::json;

TEST(LeftJobs, WhatAKilledTunerSpentIsCountedOnce) {
  const Scratch scratch("lambdaml-killed-");
  const std::filesystem::path data = data_in(scratch.path());
  Search search;
  read_search_text("data: " + data.string() +
                       "\nworkers: 1\nepochs: 50\ntune:\n  strategy: random\n  trials: 2\n  "
                       "folds: 2\n  space:\n    lr: {uniform: [0.1, 1]}\n",
                   "job.yaml", search);
  search.id = "20261129-101500-3f9c01d2a47b";
  Records records("file://" + (scratch.path() / "records").string());
  begin(search, records);
  EXPECT_GT(records.search()->begun_ms, 0U);
  // Of trial 0 one fold was done, the other had done an epoch of 60 s.
  records.save(0, {.trial = 0, .epochs = 50});
  const std::string job = "trials/" + search.id + "-0000";
  const json record{{"workers", 1},        {"channel", "file://" + scratch.path().string()},
                    {"memory_mb", 1769},   {"platform", "local"},
                    {"begun_ms", 1000000}, {"epochs_done", 0}};
  for (const char* fold : {"000", "001"})
    records.store().save(job + fold + "/job.json", as_bytes(record.dump()));
  records.store().save(job + "000/summary.json",
                       as_bytes(R"({"model":"lr","epochs":50,"cost_usd":0.25,"wall_s":4})"));
  records.store().save(job + "001/metrics.jsonl", as_bytes("{\"epoch\":1,\"compute_s\":60}\n"));
  for (int tuner = 0; tuner < 2; ++tuner) {
    Last last;
    // Its budget is used up by that.
    const SearchResult result =
        run(records, scratch.path() / "trials", search.id, {.budget = 0.2}, last);
    EXPECT_EQ(result.end, TunerEnd::limit);
    const json summary(*result.summary);
    const double killed = number_at(summary, "search_killed_usd");
    EXPECT_NEAR(killed, 60 * 1769 / 1024.0 * 1.66667e-5, 0.2 * killed) << "a minute of a function";
    EXPECT_DOUBLE_EQ(number_at(summary, "search_cost_usd"), 0.25 + killed);
    EXPECT_DOUBLE_EQ(number_at(summary["trials"][0], "wall_s"), 64);
    order_to_run(records, search.id);
  }
}

TEST(LeftJobs, WhatAnEarlierSegmentSpentIsNotCountedForTheNextOne) {
  const Scratch scratch("lambdaml-segments-");
  const std::filesystem::path data = data_in(scratch.path());
  // One job, or two folds, of 0.25 dollars and 4 s.
  for (const std::size_t jobs : {1, 2}) {
    Search search;
    read_search_text("data: " + data.string() +
                         "\nworkers: 1\nepochs: 9\ntune:\n  strategy: asha\n  trials: 3\n  "
                         "concurrency: 1\n  reduction: 3\n" +
                         (jobs == 2 ? "  folds: 2\n" : "") +
                         "  space:\n    lr: {uniform: [0.1, 1]}\n",
                     "job.yaml", search);
    search.id = "20261129-101500-3f9c01d2a47b";
    Records records("file://" + (scratch.path() / ("records" + std::to_string(jobs))).string());
    begin(search, records);
    const auto strategy = make_strategy(search);
    std::vector<Segment> segments;
    Strategy::Next next = strategy->next(segments);
    const std::uint64_t first = next.epochs;
    while (next.what == Strategy::Next::What::start && next.epochs == first) {
      Segment done{.trial = next.trial, .epochs = first, .state = Segment::State::done};
      done.epoch = first;
      done.value = 0.5 + static_cast<double>(next.trial);
      done.cost_usd = 0.25 * static_cast<double>(jobs);
      done.wall_s = 4 * static_cast<double>(jobs);
      segments.push_back(done);
      next = strategy->next(segments);
    }
    ASSERT_EQ(next.what, Strategy::Next::What::start);
    // The next segment of a trial was recorded, and then the tuner was killed.
    segments.push_back({.trial = next.trial, .epochs = next.epochs});
    ASSERT_GT(next.epochs, first);
    for (std::size_t i = 0; i < segments.size(); ++i) records.save(i, segments[i]);
    const json record{{"workers", 1},        {"channel", "file://" + scratch.path().string()},
                      {"memory_mb", 1769},   {"platform", "local"},
                      {"begun_ms", 1000000}, {"epochs_done", 0}};
    const json left{{"model", "lr"},
                    {"ended_by", "paused"},
                    {"epochs", first},
                    {"cost_usd", 0.25},
                    {"wall_s", 4}};
    const std::vector<JobOfSegment> all = jobs_of(search, segments.back());
    ASSERT_EQ(all.size(), jobs);
    for (const JobOfSegment& job : all) {
      records.store().save("trials/" + job.id + "/job.json", as_bytes(record.dump()));
      records.store().save("trials/" + job.id + "/summary.json", as_bytes(left.dump()));
    }
    Last last;
    // Its budget is used up.
    const SearchResult result =
        run(records, scratch.path() / "trials", search.id, {.budget = 0.2}, last);
    EXPECT_EQ(result.end, TunerEnd::limit);
    const json summary(*result.summary);
    const double each = static_cast<double>(jobs);
    EXPECT_DOUBLE_EQ(number_at(summary, "search_cost_usd"),
                     0.25 * each * static_cast<double>(segments.size() - 1));
    EXPECT_DOUBLE_EQ(number_at(summary["trials"][next.trial], "wall_s"), 4 * each);
    EXPECT_TRUE(records.segments().back().counted.empty());
  }
}

}  // namespace
}  // namespace lambdaml::tune
