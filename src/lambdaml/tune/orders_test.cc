#include "lambdaml/tune/orders.h"

#include <functional>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/base/unique_id.h"
#include "lambdaml/control/endings.h"
#include "lambdaml/storage/registry.h"
#include "lambdaml/storage/wrapper.h"
#include "lambdaml/tune/begin_search.h"
#include "lambdaml/tune/search_clock.h"
#include "lambdaml/tune/testing/small_search.h"
#include "lambdaml/tune/tuner.h"
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

TEST_F(OrdersOfASearch, ATunerThatHasEndedCannotBeStopped) {
  save("tuner/claim", "first");
  save("tuner/released", "first");
  EXPECT_FALSE(is_running(records_));
  EXPECT_THROW(request_stop(records_), Error);
  EXPECT_FALSE(is_stopped(records_));
}

TEST_F(OrdersOfASearch, ATunerThatIsStoppedWhileItTakesOverKeepsTheTimeOfTheSearch) {
  save("tuner/wall_s", "120.5");
  Records raced("interrupted://" + name_);
  meanwhile = {"tuner/claim", [&] { save("tuner/order", "stop"); }};
  Observer observer;
  EXPECT_THROW(run(raced, "never-made", "tune-1", {}, observer), control::Stopped);
  EXPECT_EQ(meanwhile.key, "");
  EXPECT_NE(at("tuner/claim"), "");
  EXPECT_GE(search_seconds(records_), 120.5);
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

}  // namespace
}  // namespace lambdaml::tune
