#include "lambdaml/tune/tuner.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/unique_id.h"
#include "lambdaml/control/endings.h"
#include "lambdaml/storage/registry.h"
#include "lambdaml/storage/wrapper.h"
#include "lambdaml/tune/tuner_function.h"

namespace lambdaml::tune {
namespace {

using nlohmann::json;

/// What happens elsewhere just after a key was found absent, once.
struct Meanwhile {
  std::string key;
  std::function<void()> action;
};
Meanwhile meanwhile;

class Interrupted : public storage::Wrapper {
 public:
  using Wrapper::Wrapper;
  std::optional<Buffer> load(std::string_view key) override {
    std::optional<Buffer> value = Wrapper::load(key);
    if (!value && !meanwhile.key.empty() && key == meanwhile.key) {
      meanwhile.key.clear();
      meanwhile.action();
    }
    return value;
  }
};

/// interrupted://NAME is memory://NAME, in which something happens meanwhile.
const AddedPlugin<storage::Registry> added([](storage::Registry& registry) {
  registry.add({.name = "interrupted",
                .help = "a store in which something happens meanwhile",
                .open =
                    [](Uri uri, const Options&, const std::shared_ptr<Patience>&) {
                      uri.scheme = "memory";
                      return std::make_shared<Interrupted>(storage::open(uri.text()));
                    },
                .default_uri = [] { return Uri::parse("interrupted://x"); }});
});

/// The records of a search that has begun, and what its tuners leave there as they come and go.
class OrdersOfASearch : public testing::Test {
 protected:
  OrdersOfASearch() {
    Search search;
    read_search_text("data: x\ntune:\n  space:\n    lr: {uniform: [0.1, 1]}\n", "job.yaml", search);
    search.id = "tune-1";
    records_.begin(search);
    order_to_run(records_, search.id);
  }

  void save(const char* key, std::string_view value) {
    records_.store().save(key, as_bytes(value));
  }
  std::string at(const char* key) {
    const std::optional<Buffer> value = records_.store().load(key);
    return value ? std::string(value->text()) : "";
  }
  void run_as(const std::string& chain) {
    Observer observer;
    run(records_, "never-made", chain, {}, observer);
  }
  /// The answer of the tuner function to an event with this request id.
  json invoke(const std::string& request_id, json event) {
    if (!event.contains("search")) event["search"] = uri_;
    faas::Invocation invocation;
    invocation.request_id = request_id;
    invocation.payload = event.dump();
    invocation.deadline = Deadline::in(5);
    return json::parse(handle_tuner_event(invocation));
  }

  const std::string name_ = unique_id();
  const std::string uri_ = "memory://" + name_;
  Records records_{uri_};
};

TEST_F(OrdersOfASearch, AStopHoldsUntilTheSearchIsResumedOnPurpose) {
  EXPECT_TRUE(is_running(records_)) << "its first tuner is about to come";
  request_stop(records_);
  EXPECT_TRUE(is_stopped(records_));
  EXPECT_FALSE(is_running(records_));
  EXPECT_THROW(request_stop(records_), Error);
  for (int tuner = 0; tuner < 2; ++tuner) EXPECT_THROW(run_as("tune-1"), control::Stopped);
  EXPECT_EQ(at("tuner/claim"), "");

  order_to_run(records_, "another");
  EXPECT_FALSE(is_stopped(records_));
  EXPECT_TRUE(is_running(records_));
  // What is late belongs to the earlier order.
  EXPECT_THROW(run_as("tune-1"), control::Superseded);
}

TEST_F(OrdersOfASearch, AStopBetweenTwoInvocationsIsNotRefusedAndHolds) {
  save("tuner/claim", "first");
  save("tuner/released", "handed over first");
  EXPECT_TRUE(is_running(records_));
  request_stop(records_);
  EXPECT_FALSE(is_running(records_));
  const json event{{"chain", "tune-1"}, {"leg", 1}};
  EXPECT_EQ(invoke("a", event)["state"], "stopped");
  EXPECT_EQ(invoke("a", event)["state"], "stopped") << "delivered again";
  EXPECT_EQ(at("tuner/claim"), "first");
}

TEST_F(OrdersOfASearch, ARetriedTunerDoesNotClaimOverAStop) {
  save("tuner/claim", "killed");
  EXPECT_TRUE(is_running(records_));
  request_stop(records_);
  EXPECT_THROW(run_as("tune-1"), control::Stopped);
  EXPECT_EQ(at("tuner/claim"), "killed");
}

TEST_F(OrdersOfASearch, AnEventLiftsAStopOnlyOnce) {
  const std::string chain = "tune-b";
  save("tuner/claim", "killed");
  // Its first invocation was killed, and then the search was stopped.
  save(("tuner/" + chain + "/0/0").c_str(), R"({"holder":"h","until_ms":0,"finished":false})");
  save(("tuner/" + chain + "/ordered").c_str(), "");
  order_to_run(records_, chain);
  request_stop(records_);
  EXPECT_EQ(invoke("b", json::object())["state"], "stopped");
  EXPECT_TRUE(is_stopped(records_));
}

TEST_F(OrdersOfASearch, OfTwoDeliveriesAtOnceOneOrders) {
  save("tuner/claim", "killed");
  const std::string first = "tuner/tune-b/0/0";
  // The other one goes all the way, and then the search is stopped.
  meanwhile = {first, [&] {
                 order_to_run(records_, "tune-b");
                 save("tuner/tune-b/ordered", "");
                 save(first.c_str(), R"({"holder":"h","until_ms":0,"finished":true})");
                 request_stop(records_);
               }};
  EXPECT_EQ(invoke("b", {{"search", "interrupted://" + name_}})["state"], "stopped");
  EXPECT_EQ(meanwhile.key, "");
  EXPECT_TRUE(is_stopped(records_));
}

/// The file of 40 rows that it makes there.
std::filesystem::path data_in(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  std::string rows;
  for (int i = 0; i < 40; ++i) rows += std::to_string(i % 2) + " 1:" + std::to_string(i) + "\n";
  write_file(folder / "data.libsvm", as_bytes(rows));
  return folder / "data.libsvm";
}

TEST_F(OrdersOfASearch, ABeginKeepsAStopOfASearchThatHasBegunMeanwhile) {
  const Scratch scratch("lambdaml-orders-");
  const std::filesystem::path data = data_in(scratch.path());
  Search search;
  read_search_text(
      "data: " + data.string() + "\nworkers: 1\ntune:\n  space:\n    lr: {uniform: [0.1, 1]}\n",
      "job.yaml", search);
  search.id = "tune-2";
  const std::string name = unique_id();
  Records own("memory://" + name);
  Records raced("interrupted://" + name);
  meanwhile = {"search.json", [&] {
                 order_to_run(own, search.id);
                 own.begin(search);
                 request_stop(own);
               }};
  begin(search, raced);
  EXPECT_EQ(meanwhile.key, "");
  EXPECT_TRUE(is_stopped(own));
}

/// What a search tells last.
class Last : public Observer {
 public:
  double seconds_left = 0;
  void changed(const View& view) override { seconds_left = view.seconds_left; }
};

TEST_F(OrdersOfASearch, ItsTimeIsThatOfAllTunersAndNoneIsLeftAtItsEnd) {
  const Scratch scratch("lambdaml-wall-");
  const std::filesystem::path data = data_in(scratch.path());
  Search search;
  read_search_text("data: " + data.string() +
                       "\nworkers: 1\nepochs: 50\ntune:\n  strategy: random\n  trials: 2\n  "
                       "space:\n    lr: {uniform: [0.1, 1]}\n",
                   "job.yaml", search);
  search.id = "20261129-101500-3f9c01d2a47b";
  Records records("file://" + (scratch.path() / "records").string());
  begin(search, records);
  // One trial converged after one of 50 epochs; the other fails, as these tests have no functions.
  const json job{{"valid_loss", 0.5}, {"epochs", 1}, {"ended_by", "converged"}};
  records.save(0, {.trial = 0,
                   .epochs = 50,
                   .state = Segment::State::done,
                   .epoch = 1,
                   .value = 0.5,
                   .summary = std::make_shared<const nlohmann::ordered_json>(job)});
  records.store().save("tuner/wall_s", as_bytes("120.5"));
  Last last;
  const SearchResult result = run(records, scratch.path() / "trials", search.id, {}, last);
  EXPECT_EQ(result.end, TunerEnd::finished);
  EXPECT_LE(last.seconds_left, 0);
  const double wall_s = number_at(json(*result.summary), "search_wall_s");
  EXPECT_GT(wall_s, 120.5);
  EXPECT_LT(wall_s, 120.5 + 60);
  EXPECT_NEAR(to_real(records.store().load("tuner/wall_s")->text()).value_or(0), wall_s, 1);
}

TEST_F(OrdersOfASearch, WhatAKilledTunerSpentIsCountedOnce) {
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

TEST_F(OrdersOfASearch, WhatAnEarlierSegmentSpentIsNotCountedForTheNextOne) {
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

TEST(Segments, ASummaryOfNoMoreEpochsIsOfAnEarlierSegmentOfTheTrial) {
  const std::vector<Segment> segments{
      {.trial = 0, .epochs = 3, .state = Segment::State::done, .epoch = 3, .value = 0.5},
      {.trial = 1, .epochs = 3, .state = Segment::State::done, .epoch = 3, .value = 0.5},
      {.trial = 0, .epochs = 9},
      {.trial = 2, .epochs = 9}};
  const json of_first{{"epochs", 3}}, of_second{{"epochs", 4}, {"ended_by", "converged"}};
  EXPECT_TRUE(is_of_earlier_segment(of_first, segments, segments[2]));
  EXPECT_FALSE(is_of_earlier_segment(of_second, segments, segments[2]));
  EXPECT_FALSE(is_of_earlier_segment(of_first, segments, segments[3])) << "its trial has no other";
  EXPECT_FALSE(is_of_earlier_segment(json::object(), segments, segments[2]));
}

/// Whose server ignores the condition of a write.
class Careless : public storage::Wrapper {
 public:
  using Wrapper::Wrapper;
  storage::Capabilities capabilities() const override {
    storage::Capabilities out = Wrapper::capabilities();
    out.create_varies = true;
    return out;
  }
  bool create(std::string_view key, Bytes value) override {
    save(key, value);
    return true;
  }
};
const AddedPlugin<storage::Registry> careless([](storage::Registry& registry) {
  registry.add({.name = "careless",
                .help = "a store that ignores the condition of a write",
                .open =
                    [](Uri uri, const Options&, const std::shared_ptr<Patience>&) {
                      uri.scheme = "memory";
                      return std::make_shared<Careless>(storage::open(uri.text()));
                    },
                .default_uri = [] { return Uri::parse("careless://x"); }});
});

TEST_F(OrdersOfASearch, DoesNotBeginWhereTheConditionOfAWriteIsIgnored) {
  const Scratch scratch("lambdaml-careless-");
  Search search;
  read_search_text("data: " + data_in(scratch.path()).string() +
                       "\nworkers: 1\ntune:\n  space:\n    lr: {uniform: [0.1, 1]}\n",
                   "job.yaml", search);
  search.id = "tune-3";
  Records records("careless://" + unique_id());
  try {
    begin(search, records);
    FAIL() << "it began";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    EXPECT_THAT(error.what(), testing::HasSubstr("a search needs conditional writes"));
  }
  EXPECT_FALSE(records.search());
}

TEST_F(OrdersOfASearch, ATunerThatHasEndedCannotBeStopped) {
  save("tuner/claim", "first");
  save("tuner/released", "first");
  EXPECT_FALSE(is_running(records_));
  EXPECT_THROW(request_stop(records_), Error);
  EXPECT_FALSE(is_stopped(records_));
}

}  // namespace
}  // namespace lambdaml::tune
