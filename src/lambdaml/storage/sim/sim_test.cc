#include <gmock/gmock.h>

#include "lambdaml/sim/world.h"
#include "lambdaml/storage/testing/conformance.h"
#include "lambdaml/storage/wait.h"

namespace lambdaml::storage {
namespace {

using lambdaml::sim::Fault;
using lambdaml::sim::Killed;
using lambdaml::sim::Profile;
using lambdaml::sim::Simulation;
using lambdaml::sim::World;

INSTANTIATE_TEST_SUITE_P(
    Sim, StorageConformance,
    testing::Values(StoreUnderTest{"plain",
                                   [](const std::string& place) { return open("sim://" + place); }},
                    StoreUnderTest{"below_a_path",
                                   [](const std::string& place) {
                                     return open("sim://" + place + "/some/path");
                                   }}),
    name_of_store);

const char* const kProfile = R"(
name: test
date: 2026-01-01
stores:
  slow: {scheme: s3, put: {always: 40}, get: {always: 20}, polling_is_expensive: true,
         prices: {put: 1, get: 0.5}}
  pushing: {scheme: redis, put: {always: 2}, get: {always: 1}, pushes: true, durable: false}
functions: {least_mb: 128, most_mb: 1024, mb_per_processor: 1000, invoke: {always: 10},
            cold_start: {always: 100}, longest_s: 60, gb_second: 1, request: 0}
)";

/// Runs `body` in a process of a simulated world.
void simulate(const std::function<void(World&)>& body) {
  Simulation simulation(1);
  World world(simulation, Profile::parse(kProfile, "test"));
  simulation.start("test", [&] { body(world); });
  simulation.run();
}

TEST(SimStore, RequestsTakeTheirTimeAndCost) {
  simulate([](World& world) {
    const auto store = open("sim://slow");
    store->save("key", as_bytes("value"));
    EXPECT_NEAR(world.simulation().now_s(), 0.040, 1e-9);
    EXPECT_EQ(store->load("key")->text(), "value");
    EXPECT_NEAR(world.simulation().now_s(), 0.060, 1e-9);
    EXPECT_DOUBLE_EQ(world.request_usd(), 1.5);
  });
}

TEST(SimStore, RequestsShareTheProcessorsOfAHost) {
  Simulation simulation(1);
  World world(simulation, Profile::parse(R"(
name: test
date: 2026-01-01
stores:
  busy: {scheme: redis, put: {always: 20}, get: {always: 20}, host: {request_ms: 10, put_mb_ms: 50}}
functions: {least_mb: 128, most_mb: 1024, mb_per_processor: 1000, host_processors: 1,
            invoke: {always: 1}, cold_start: {always: 1}, longest_s: 60, gb_second: 1, request: 0}
)",
                                         "test"));
  std::vector<double> ends_s;
  for (int i = 0; i < 2; ++i)
    simulation.start("test", [&] {
      open("sim://busy")->load("key");
      ends_s.push_back(simulation.now_s());
    });
  simulation.run();
  ASSERT_EQ(ends_s.size(), 2U);
  EXPECT_NEAR(ends_s[0], 0.020, 1e-9) << "its own work is a part of its latency";
  EXPECT_NEAR(ends_s[1], 0.030, 1e-9) << "half of which has to wait for the processor";
  simulation.start("test", [&] { open("sim://busy")->save("key", Buffer(1'000'000)); });
  simulation.run();
  EXPECT_NEAR(simulation.now_s(), 0.100, 1e-9) << "10 ms of the request and 50 of its bytes";
}

TEST(SimStore, AWaitIsToldByAStoreThatPushes) {
  double at_s = 0;
  simulate([&](World& world) {
    world.simulation().start("other", [&] {
      world.simulation().pause(0.5);
      open("sim://pushing")->save("key", as_bytes("x"));
    });
    open("sim://pushing")->load_or_wait("key", Deadline::in(10));
    at_s = world.simulation().now_s();
  });
  // Saved halfway of 2 ms, and read in 1 ms.
  EXPECT_NEAR(at_s, 0.502, 1e-6);
}

TEST(SimStore, AWaitInVainEndsInVirtualTime) {
  for (const char* uri : {"sim://slow", "sim://pushing"})
    simulate([&](World& world) {
      EXPECT_THROW(open(uri)->load_or_wait("key", Deadline::in(100)), MissingKeys);
      EXPECT_NEAR(world.simulation().now_s(), 100, 1);
    });
}

TEST(SimStore, FaultsBefallTheCallsThatTheyAreMeantFor) {
  simulate([](World& world) {
    world.faults = [](const lambdaml::sim::Call& call) {
      return Fault{call.key == "lost"   ? Fault::Kind::fails_before
                   : call.key == "done" ? Fault::Kind::fails_after
                                        : Fault::Kind::none};
    };
    const auto store = open_plain(Uri::parse("sim://slow"));
    EXPECT_THROW(store->save("lost", {}), Error);
    EXPECT_THROW(store->save("done", {}), Error);
    world.faults = nullptr;
    EXPECT_FALSE(store->load("lost"));
    EXPECT_TRUE(store->load("done"));
  });
}

TEST(SimStore, DestructorsOfAKilledProcessReachNothing) {
  bool destroyed = false;
  simulate([&](World& world) {
    Simulation& simulation = world.simulation();
    struct SavesAtItsEnd {
      std::shared_ptr<Storage> store;
      bool& destroyed;
      ~SavesAtItsEnd() {
        store->save("from the dead", as_bytes("x"));
        store->load("anything");
        destroyed = true;
      }
    };
    const auto victim = simulation.start("victim", [&] {
      const SavesAtItsEnd last{open("sim://slow"), destroyed};
      last.store->save("alive", as_bytes("x"));
      simulation.pause(1000);
    });
    simulation.pause(1);
    simulation.kill(victim);
    simulation.pause(1);
    EXPECT_TRUE(destroyed);
    EXPECT_TRUE(open("sim://slow")->exists("alive"));
    EXPECT_FALSE(open("sim://slow")->exists("from the dead"));
  });
}

TEST(SimStore, ANameThatTheProfileDoesNotHaveIsRefused) {
  simulate([](World&) {
    try {
      open("sim://slowly");
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::invalid_argument);
      EXPECT_THAT(error.what(), testing::HasSubstr("did you mean 'slow'"));
    }
  });
}

}  // namespace
}  // namespace lambdaml::storage
