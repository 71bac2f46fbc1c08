#include <gmock/gmock.h>

#include "lambdaml/base/wait.h"
#include "lambdaml/sim/world.h"
#include "lambdaml/storage/aggregator.h"
#include "lambdaml/storage/meter.h"
#include "lambdaml/storage/sim/models.h"
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
                                   }},
                    StoreUnderTest{"with_an_index",
                                   [](const std::string& place) {
                                     sim::model_outside(place, true);
                                     return open("sim://" + place + "/path");
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

TEST(SimStore, BatchesTakeAndCountAsTheirStoreSays) {
  Simulation simulation(1);
  World world(simulation, Profile::parse(R"(
name: test
date: 2026-01-01
stores:
  batching: {scheme: dynamodb, put: {always: 30}, get: {always: 20}, remove: {always: 10},
             parallel: 2, put_parallel: 3, remove_parallel: 6, put_keys: 4, remove_keys: 5,
             host: {request_ms: 2, put_ms: 3}}
functions: {least_mb: 128, most_mb: 1024, mb_per_processor: 1000, invoke: {always: 1},
            cold_start: {always: 1}, longest_s: 60, gb_second: 1, request: 0}
)",
                                         "test"));
  const auto meter = std::make_shared<Meter>();
  simulation.start("test", [&] {
    const auto store = open("sim://batching", meter);
    std::vector<std::string> keys;
    for (int i = 0; i < 6; ++i) keys.push_back(fmt::format("key{}", i));
    std::vector<Item> items;
    for (const std::string& key : keys) items.push_back({key, as_bytes("value")});
    store->save_all(items);
    EXPECT_NEAR(simulation.now_s(), 2 * 0.030, 1e-9) << "three at once";
    store->load_present(keys);
    EXPECT_NEAR(simulation.now_s(), 0.060 + 3 * 0.020, 1e-9) << "two at once";
    store->remove_all(keys);
    EXPECT_NEAR(simulation.now_s(), 0.120 + 0.010, 1e-9) << "all at once";
  });
  simulation.run();
  const Usage usage = meter->usage();
  EXPECT_EQ(usage.put.requests, 2U) << "of four keys and of two";
  EXPECT_EQ(usage.put.bytes, 30U);
  EXPECT_EQ(usage.get.requests, 6U);
  EXPECT_EQ(usage.remove.requests, 2U) << "of five keys and of one";
  EXPECT_EQ(world.store("batching")->traffic().removes, 2U);
}

const char* const kIndexed = R"(
name: test
date: 2026-11-30
stores:
  quick: {scheme: memcached, put: {always: 2}, get: {always: 1}, remove: {always: 3}, parallel: 4,
          put_parallel: 1, keeps_index: true}
  slow: {scheme: memcached, put: {always: 25}, get: {always: 1}, keeps_index: true}
functions: {least_mb: 128, most_mb: 1024, mb_per_processor: 1000, invoke: {always: 1},
            cold_start: {always: 1}, longest_s: 60, gb_second: 1, request: 0}
)";

TEST(SimStore, AnIndexMakesTheRequestsOfTheStoreThatKeepsIt) {
  Simulation simulation(1);
  World world(simulation, Profile::parse(kIndexed, "test"));
  const auto meter = std::make_shared<Meter>();
  simulation.start("test", [&] {
    const auto store = open("sim://quick", meter);
    EXPECT_TRUE(store->capabilities().keeps_index);
    store->save("f/a", as_bytes("1"));
    EXPECT_EQ(meter->usage().put.requests, 5U) << "lists of two folders, each missed and added";
    EXPECT_NEAR(simulation.now_s(), 5 * 0.002, 1e-9);
    store->save("f/a", as_bytes("2"));
    EXPECT_EQ(meter->usage().put.requests, 6U);
    const std::vector<Item> items = {{"f/a", as_bytes("3")}, {"f/b", as_bytes("4")}};
    store->save_all(items);
    EXPECT_EQ(meter->usage().put.requests, 9U) << "two values and a name";
    EXPECT_NEAR(simulation.now_s(), 9 * 0.002, 1e-9);
    EXPECT_EQ(store->list("f/"), (std::vector<Entry>{{"f/a", 1}, {"f/b", 1}}));
    EXPECT_EQ(meter->usage().list.requests, 2U);
    EXPECT_EQ(meter->usage().get.requests, 2U);
    EXPECT_NEAR(simulation.now_s(), 0.020, 1e-9) << "lists at once, then values";
    store->remove_all(std::vector<std::string>{"f/a", "f/b"});
    EXPECT_EQ(meter->usage().remove.requests, 4U) << "both lists too, which are empty now";
    EXPECT_EQ(meter->usage().list.requests, 4U);
  });
  simulation.run();
  EXPECT_TRUE(world.store("quick")->values().empty());
  EXPECT_EQ(world.store("quick")->traffic().puts, 9U);
  EXPECT_EQ(world.store("quick")->traffic().gets, 6U);
  EXPECT_EQ(world.store("quick")->traffic().removes, 4U);
}

TEST(SimStore, AnIndexWaitsInVirtualTime) {
  Simulation simulation(1);
  World world(simulation, Profile::parse(kIndexed, "test"));
  const auto meter = std::make_shared<Meter>();
  simulation.start("test", [&] {
    const auto store = open("sim://slow", meter);
    const auto other = open("sim://slow");
    other->save("a", as_bytes("1"));
    store->save("b", as_bytes("2"));
    EXPECT_EQ(meter->usage().put.requests, 3U) << "its name again, for the value came late";
    other->clear("");
    EXPECT_GT(simulation.now_s(), 0.2);
    EXPECT_FALSE(store->exists("b"));
  });
  simulation.run();
  EXPECT_TRUE(world.store("slow")->values().empty());
}

TEST(SimStore, OneWithAnIndexIsPolledAsMemcachedIs) {
  Simulation simulation(1);
  World world(simulation, Profile::parse(kIndexed, "test"));
  const auto meter = std::make_shared<Meter>();
  simulation.start("waiter", [&] {
    const auto store = open("sim://quick", meter);
    EXPECT_EQ(store->load_or_wait("a", Deadline::in(1)).text(), "1");
  });
  simulation.start("saver", [&] {
    pause_for(0.050);
    open("sim://quick")->save("a", as_bytes("1"));
  });
  simulation.run();
  // A GET takes 1 ms; it follows after a tenth of the elapsed time, between 10 and 20 ms after 1
  // ms.
  EXPECT_NEAR(static_cast<double>(meter->usage().get.requests), 21, 2);
}

TEST(SimStore, AnIndexOfAKilledProcessDoesNothingMore) {
  Simulation simulation(1);
  World world(simulation, Profile::parse(kIndexed, "test"));
  world.faults = [](const lambdaml::sim::Call& call) {
    return Fault{.kind = call.number == 2 ? Fault::Kind::killed_before : Fault::Kind::none};
  };
  simulation.start("test", [&] {
    struct Saving {
      std::shared_ptr<Storage> store = open("sim://quick");
      ~Saving() {
        store->save("deep/in/folders/key", as_bytes("1"));
        store->clear("");
      }
    } const saving;
    saving.store->save("f/a", as_bytes("1"));
  });
  simulation.run();
  EXPECT_EQ(world.calls(), 3U);
  EXPECT_TRUE(world.store("quick")->values().empty()) << "its first call that changes something";
}

TEST(SimStore, BatchesEndByTheirBytesInTheOrderOfTheirKeys) {
  Simulation simulation(1);
  World world(simulation, Profile::parse(R"(
name: test
date: 2026-01-01
stores:
  batching: {scheme: dynamodb, put: {always: 30}, get: {always: 20},
             put_keys: 4, put_batch_bytes: 1000, get_keys: 4, get_batch_bytes: 500,
             remove_keys: 4}
functions: {least_mb: 128, most_mb: 1024, mb_per_processor: 1000, invoke: {always: 1},
            cold_start: {always: 1}, longest_s: 60, gb_second: 1, request: 0}
)",
                                         "test"));
  simulation.start("test", [&] {
    const auto store = open_plain(Uri::parse("sim://batching"));
    const auto meter = std::make_shared<Meter>();
    store->count_into(meter);
    const auto save = [&](const std::vector<std::pair<std::string, std::size_t>>& values) {
      const std::uint64_t before = meter->usage().put.requests;
      const Buffer bytes(2000);
      std::vector<Item> items;
      for (const auto& [key, n] : values) items.push_back({key, bytes.view().first(n)});
      store->save_all(items);
      return meter->usage().put.requests - before;
    };
    const auto requests = [&](auto kind) { return (meter->usage().*kind).requests; };
    EXPECT_EQ(save({{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}, {"e", 1}}), 2U) << "of four and of one";
    EXPECT_EQ(save({{"a", 400}, {"b", 400}, {"c", 200}, {"d", 400}}), 2U)
        << "1000 bytes are enough";
    EXPECT_EQ(save({{"a", 400}, {"b", 400}, {"c", 400}, {"d", 400}}), 2U);
    EXPECT_EQ(save({{"a", 2000}, {"b", 2000}, {"c", 2000}}), 3U) << "one value is not split";
    EXPECT_EQ(save({{"a", 900}, {"c", 900}, {"b", 50}}), 1U) << "b comes before c";
    EXPECT_EQ(save({{"a", 900}, {"b", 900}, {"c", 50}}), 2U);
    EXPECT_EQ(save({{"a", 2000}}), 1U);

    save({{"a", 200}, {"b", 200}, {"c", 200}, {"d", 200}, {"e", 200}});
    const std::vector<std::string> keys{"a", "b", "c", "d", "e"};
    store->load_present(keys);
    EXPECT_EQ(requests(&Usage::get), 2U) << "three are 500 bytes, the others two";
    store->load_present(std::vector<std::string>{"x", "y", "z", "w"});
    EXPECT_EQ(requests(&Usage::get), 3U) << "what is not there has no bytes";
    store->remove_all(keys);
    EXPECT_EQ(requests(&Usage::remove), 2U) << "of four keys and of one";
  });
  simulation.run();
}

TEST(SimStore, LargeValuesCountAsTheirParts) {
  Simulation simulation(1);
  World world(simulation, Profile::parse(R"(
name: test
date: 2026-01-01
stores:
  parts: {scheme: s3, put: {always: 30}, get: {always: 20}, whole_bytes: 16, part_bytes: 8}
functions: {least_mb: 128, most_mb: 1024, mb_per_processor: 1000, invoke: {always: 1},
            cold_start: {always: 1}, longest_s: 60, gb_second: 1, request: 0}
)",
                                         "test"));
  simulation.start("test", [&] {
    const auto meter = std::make_shared<Meter>();
    const auto store = open("sim://parts", meter);
    const auto requests = [&](auto kind, const std::function<void()>& call) {
      const std::uint64_t before = (meter->usage().*kind).requests;
      call();
      return (meter->usage().*kind).requests - before;
    };
    const Buffer value(33);
    const Bytes all = value.view();
    EXPECT_EQ(requests(&Usage::put, [&] { store->save("small", all.first(16)); }), 1U);
    EXPECT_EQ(requests(&Usage::put, [&] { store->save("key", all); }), 5U + 2) << "five parts";
    const std::vector<Bytes> pieces{all.first(20), all.subspan(20)};
    EXPECT_EQ(requests(&Usage::put, [&] { store->save_gathered("key", pieces); }), 5U + 2);
    EXPECT_EQ(requests(&Usage::put, [&] { store->create("other", all); }), 1U) << "never in parts";
    EXPECT_EQ(requests(&Usage::get, [&] { store->load("small"); }), 1U);
    EXPECT_EQ(requests(&Usage::get, [&] { store->load("key"); }), 1U + 3);
    EXPECT_EQ(requests(&Usage::get, [&] { store->load_range("key", 0, 30); }), 1U);
    EXPECT_EQ(requests(&Usage::remove, [&] { store->remove("key"); }), 1U);
  });
  simulation.run();
}

TEST(SimStore, PutsMayBeMoreWorkThanOtherRequests) {
  const auto seconds_of_two = [](const std::function<void(Storage&)>& request) {
    Simulation simulation(1);
    World world(simulation, Profile::parse(R"(
name: test
date: 2026-01-01
stores:
  folder: {scheme: file, put: {always: 8}, get: {always: 8}, parallel: 4,
           host: {request_ms: 2, put_ms: 8}}
functions: {least_mb: 128, most_mb: 1024, mb_per_processor: 1000, host_processors: 1,
            invoke: {always: 1}, cold_start: {always: 1}, longest_s: 60, gb_second: 1, request: 0}
)",
                                           "test"));
    for (int i = 0; i < 2; ++i) simulation.start("test", [&] { request(*open("sim://folder")); });
    simulation.run();
    return simulation.now_s();
  };
  EXPECT_NEAR(seconds_of_two([](Storage& store) { store.load("key"); }), 0.010, 1e-9);
  EXPECT_NEAR(seconds_of_two([](Storage& store) { store.save("key", {}); }), 0.016, 1e-9);
  const auto batch = [](Storage& store) {
    store.load_present(std::vector<std::string>{"a", "b", "c", "d"});
  };
  EXPECT_NEAR(seconds_of_two(batch), 0.010, 1e-9) << "all four fit the time of one";
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

/// Three workers of a store that adds up, each in a process of its own.
void simulate_sums(const std::function<void(std::uint32_t worker, Aggregator& store)>& work) {
  Simulation simulation(1);
  World world(simulation, Profile::parse(R"(
name: test
date: 2026-01-01
stores:
  adding: {scheme: ps, put: {always: 2}, get: {always: 1}, pushes: true, adds: true}
functions: {least_mb: 128, most_mb: 1024, mb_per_processor: 1000, invoke: {always: 10},
            cold_start: {always: 100}, longest_s: 60, gb_second: 1, request: 0}
)",
                                         "test"));
  for (std::uint32_t worker = 0; worker < 3; ++worker)
    simulation.start(fmt::format("worker-{}", worker), [&work, worker] {
      const auto store = open("sim://adding/below");
      work(worker, *store->aggregator());
    });
  simulation.run();
}

TEST(SimStore, AStoreThatAddsUpAnswersWhenAllHaveContributed) {
  int answered = 0;
  simulate_sums([&](std::uint32_t worker, Aggregator& store) {
    Simulation& simulation = World::current()->simulation();
    for (std::uint64_t round = 0; round < 2; ++round) {
      simulation.pause(worker == 2 ? 0.5 : 0);
      const double begin_s = simulation.now_s();
      SumRequest request{.key = "sums/rounds", .round = round, .worker = worker, .workers = 3};
      // A part counts once, however often it is sent.
      for (int attempt = 0; attempt < 2; ++attempt) {
        std::vector<double> totals{1};
        std::vector<float> values{worker == 0 ? 1e8F : 1.0F, 2.0F};
        const SumAnswer answer = store.push_pull(request, totals, values, Deadline::in(10));
        EXPECT_EQ(answer.merged, 3U);
        EXPECT_EQ(totals, std::vector<double>{3});
        EXPECT_EQ(values, (std::vector<float>{(1e8F + 1.0F) + 1.0F, 6.0F})) << "in worker order";
      }
      if (worker == 2) {
        EXPECT_NEAR(simulation.now_s() - begin_s, 2 * 0.002, 1e-6);
      }
      ++answered;
    }
    const auto& traffic = World::current()->store("adding")->traffic();
    if (answered == 6) {
      EXPECT_EQ(traffic.puts, 2 * 3 * 2U);
      EXPECT_EQ(traffic.gets, 2 * 3 * 2U);
      EXPECT_EQ(traffic.put_bytes, 2 * 3 * 2 * 16U);
      EXPECT_EQ(traffic.get_bytes, 2 * 3 * 2 * 16U);
    }
  });
  EXPECT_EQ(answered, 6);
}

TEST(SimStore, AStoreThatAddsUpNamesWhoIsMissing) {
  int missed = 0;
  simulate_sums([&](std::uint32_t worker, Aggregator& store) {
    if (worker == 1) return;
    std::vector<float> values{1};
    try {
      store.push_pull({.key = "sums/rounds", .worker = worker, .workers = 3}, {}, values,
                      Deadline::in(10));
    } catch (const MissingWorkers& missing) {
      EXPECT_THAT(missing.workers(), testing::ElementsAre(1U));
      EXPECT_EQ(values, std::vector<float>{1}) << "as it was";
      ++missed;
    }
  });
  EXPECT_EQ(missed, 2);
}

TEST(SimStore, AStoreThatAddsUpHasRunningAndNewestSums) {
  using Kind = SumRequest::Kind;
  int done = 0;
  simulate_sums([&](std::uint32_t worker, Aggregator& store) {
    SumRequest request{.key = "running", .kind = Kind::running, .worker = worker, .workers = 3};
    request.staleness = 0;
    for (request.round = 0; request.round < 4; ++request.round) {
      std::vector<float> values{static_cast<float>(worker + 1)};
      const SumAnswer answer = store.push_pull(request, {}, values, Deadline::in(10));
      if (request.generation == 0) request.generation = answer.generation;
      EXPECT_EQ(answer.generation, request.generation);
      EXPECT_GE(values[0], 6.0F * static_cast<float>(request.round + 1)) << "none is behind";
    }
    request.last = true;
    std::vector<float> all{7};
    store.push_pull(request, {}, all, Deadline::in(10));
    EXPECT_EQ(all[0], 4 * 6.0F);
    SumRequest lost = request;
    lost.generation = request.generation + 1;
    all = {5};
    EXPECT_EQ(store.push_pull(lost, {}, all, Deadline::in(10)).generation, request.generation);
    EXPECT_EQ(all[0], 5) << "another generation adds nothing";
    World::current()->simulation().pause(1);
    for (const float newest : {3.0F, 4.0F}) {
      SumRequest state{.key = "state", .kind = Kind::newest, .worker = worker, .workers = 3};
      state.round = static_cast<std::uint64_t>(newest);
      std::vector<float> values{newest};
      store.push_pull(state, {}, values, Deadline::in(10));
      World::current()->simulation().pause(1);
      values = {0};
      state.round = 0;  // older than what it has
      EXPECT_EQ(store.push_pull(state, {}, values, Deadline::in(10)).merged, 3U);
      EXPECT_EQ(values[0], 3 * newest);
      World::current()->simulation().pause(1);
    }
    ++done;
  });
  EXPECT_EQ(done, 3);
}

TEST(SimStore, AStoreThatAddsUpRefusesOtherSizes) {
  using Kind = SumRequest::Kind;
  int refused = 0;
  simulate_sums([&](std::uint32_t worker, Aggregator& store) {
    if (worker == 2) return;
    for (const Kind kind : {Kind::round, Kind::running, Kind::newest}) {
      const std::string key = fmt::format("sums/{}", static_cast<int>(kind));
      SumRequest request{.key = key, .kind = kind, .worker = worker, .workers = 2};
      // The first worker's part is there before the second's.
      Simulation& simulation = World::current()->simulation();
      simulation.pause(10 * static_cast<double>(kind) + worker - simulation.now_s());
      std::vector<double> totals{1};
      std::vector<float> values(worker == 1 ? 3 : 2, 1.0F);
      try {
        store.push_pull(request, totals, values, Deadline::in(2));
        EXPECT_NE(worker, 1U) << key;
      } catch (const MissingWorkers&) {
        EXPECT_EQ(worker, 0U) << key;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::invalid_argument) << key;
        EXPECT_EQ(values, std::vector<float>(3, 1.0F)) << key;
        ++refused;
      }
    }
  });
  EXPECT_EQ(refused, 3);
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
