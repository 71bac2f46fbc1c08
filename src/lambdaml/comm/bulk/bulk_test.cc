#include <atomic>
#include <map>
#include <mutex>
#include <thread>

#include <gmock/gmock.h>

#include "lambdaml/base/testing/testing.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/comm/bulk/chunks.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/comm/testing/conformance.h"
#include "lambdaml/storage/testing/faults.h"
#include "lambdaml/storage/wrapper.h"

/// What the bulk-synchronous patterns cost: requests while they wait, downloads, time, memory.
namespace lambdaml::comm::bulk {
namespace {

using testing::Each;

/// A store as one worker sees it that can only be polled, at a price.
class Polled final : public storage::Storage {
 public:
  explicit Polled(std::shared_ptr<storage::Storage> inner) : inner_(std::move(inner)) {}
  storage::Capabilities capabilities() const override {
    storage::Capabilities out = inner_->capabilities();
    out.polling_is_expensive = true;
    return out;
  }
  std::string describe() const override { return inner_->describe(); }
  void save(std::string_view key, Bytes value) override { inner_->save(key, value); }
  std::optional<Buffer> load(std::string_view key) override {
    std::optional<Buffer> value = inner_->load(key);
    const std::lock_guard lock(mutex);
    if (value) ++downloads[std::string(key)];
    if (!value && counts) ++in_vain;
    return value;
  }
  bool exists(std::string_view key) override {
    const std::lock_guard lock(mutex);
    if (counts) ++in_vain;
    return inner_->exists(key);
  }
  bool create(std::string_view key, Bytes value) override { return inner_->create(key, value); }
  void remove(std::string_view key) override { inner_->remove(key); }
  std::vector<storage::Entry> list(std::string_view prefix) override {
    return inner_->list(prefix);
  }
  std::unique_ptr<storage::KeyWatch> watch(std::vector<std::string> keys) override {
    return storage::watch_by_polling(*this, std::move(keys), pacer_, 32);
  }

  std::mutex mutex;
  std::map<std::string, int> downloads;
  int in_vain = 0;
  static inline std::atomic<bool> counts{true};

 private:
  std::shared_ptr<storage::Storage> inner_;
  storage::Pacer pacer_{storage::Pacer::kExpensivePolling};
};

/// A store whose keys cannot be removed in bulk, by policy.
class Unremovable final : public storage::Wrapper {
 public:
  using Wrapper::Wrapper;
  void remove_all(std::span<const std::string>) override {
    ++tried;
    fail(Code::permission_denied, "the policy forbids it");
  }
  static inline std::atomic<int> tried{0};
};

/// The same store where it saves and removes in one request.
class UnremovableInOne final : public storage::Wrapper {
 public:
  using Wrapper::Wrapper;
  void remove_all(std::span<const std::string>) override { ++tried; }
  void save_and_remove(std::span<const storage::Item>, std::span<const std::string>) override {
    ++tried;
    fail(Code::permission_denied, "the policy forbids it");
  }
  static inline std::atomic<int> tried{0};
};

/// Three workers end 20 rounds over stores of that kind.
template <class Store>
void expect_three_workers_to_end(const char* pattern) {
  Job job{.pattern = pattern, .workers = 3, .n = 10, .uri = memory_place()};
  job.decorate = [](std::shared_ptr<storage::Storage> store, std::uint32_t) {
    return std::make_shared<Store>(std::move(store));
  };
  EXPECT_THAT(on_threads(job.workers,
                         [&](std::uint32_t w) {
                           const auto communicator = job.communicator(w);
                           job.merge_rounds(*communicator, 0, 20);
                         }),
              Each(""));
}

TEST(Garbage, ThatCannotBeCollectedWithTheNextMessageEndsNoWorker) {
  expect_three_workers_to_end<UnremovableInOne>("reduce_scatter");
  EXPECT_EQ(UnremovableInOne::tried.load(), 3) << "each worker asks once";
}

TEST(Garbage, ThatCannotBeCollectedEndsNoWorker) {
  expect_three_workers_to_end<Unremovable>("reduce");
  EXPECT_THAT(Unremovable::tried.load(), testing::AllOf(testing::Ge(1), testing::Le(3)))
      << "each worker asks once";
}

TEST(Lateness, OfOneWorkerMakesNoOtherDownloadTwiceNorPollAllTheTime) {
  constexpr std::uint32_t kWorkers = 100;
  constexpr double kLate_s = 4;
  std::vector<std::shared_ptr<Polled>> stores(kWorkers);
  Job all{.pattern = "reduce_scatter", .workers = kWorkers, .n = 1000, .uri = memory_place()};
  all.patience_s = 300;
  all.decorate = [&](std::shared_ptr<storage::Storage> store, std::uint32_t w) {
    stores[w] = std::make_shared<Polled>(std::move(store));
    // As a job has it. Each check of a claim is a request too.
    return storage::with_cancellation(
        storage::with_prefix(storage::with_retry(stores[w]), "job/"), [] {},
        {.first_s = 0.1, .longest_s = 0.1, .longest_where_expensive_s = 8});
  };
  EXPECT_THAT(on_threads(kWorkers,
                         [&](std::uint32_t w) {
                           const auto communicator = all.communicator(w);
                           if (w == 57) {
                             pause_for(kLate_s);
                             Polled::counts = false;
                           }
                           all.merge_rounds(*communicator, 0, 1);
                         }),
              Each(""));
  std::size_t downloads = 0;
  int most_in_vain = 0;
  for (const auto& store : stores) {
    for (const auto& [key, times] : store->downloads) EXPECT_EQ(times, 1) << key;
    downloads += store->downloads.size();
    most_in_vain = std::max(most_in_vain, store->in_vain);
  }
  EXPECT_EQ(downloads, 2U * kWorkers * (kWorkers - 1));
  // The first seconds of a wait have most of its polls: some 25, and up to 31 of keys that were
  // asked for together with others that had come. See Waits.PollAnExpensiveStoreEverMoreRarely for
  // how few the rest of a minute has.
  // With a sanitizer the others are late as well.
  EXPECT_LT(most_in_vain, kSanitized ? 180 : 60);
  RecordProperty("most_polls_in_vain", most_in_vain);
}

/// A store that may lose what it has; counts what is sent to be put back.
class Forgetful final : public storage::Wrapper {
 public:
  Forgetful(std::shared_ptr<storage::Storage> inner, std::atomic<int>& lookups,
            std::atomic<int>& sent)
      : Wrapper(std::move(inner)), lookups_(lookups), sent_(sent) {}
  storage::Capabilities capabilities() const override {
    storage::Capabilities out = inner().capabilities();
    out.durable = false;
    return out;
  }
  bool exists(std::string_view key) override {
    ++lookups_;
    return inner().exists(key);
  }
  bool create(std::string_view key, Bytes value) override {
    ++sent_;
    return inner().create(key, value);
  }

 private:
  std::atomic<int>&lookups_, &sent_;
};

TEST(Lateness, SendsNoMessageAgainThatIsStillThere) {
  for (const char* pattern : {"reduce", "reduce_scatter"}) {
    std::atomic<int> lookups{0};
    std::atomic<int> sent{0};
    Job all{.pattern = pattern, .workers = 3, .n = 1000, .uri = memory_place()};
    all.patience_s = 60;  // its first check comes after a fifth of a second
    all.decorate = [&](std::shared_ptr<storage::Storage> store, std::uint32_t) {
      return std::make_shared<Forgetful>(std::move(store), lookups, sent);
    };
    EXPECT_THAT(on_threads(3,
                           [&](std::uint32_t w) {
                             if (w == 1) pause_for(0.8);
                             all.merge_rounds(*all.communicator(w), 0, 2);
                           }),
                Each(""));
    EXPECT_GT(lookups, 0);
    EXPECT_EQ(sent, 0) << "it was uploaded to ask whether it is there";
  }
}

TEST(Aggregators, AnyNumberGivesTheSameBits) {
  for (const std::uint32_t workers : {2U, 3U, 7U})
    for (const std::uint32_t aggregators : {1U, 2U, 3U, 5U, 7U, 100U})
      for (const std::size_t n : {0U, 1U, 4U, 1001U}) {
        Job all{.workers = workers, .n = n, .uri = memory_place()};
        all.options = {{"aggregators", std::to_string(aggregators)}};
        const auto meter = std::make_shared<storage::Meter>();
        all.patience_s = 30'000;
        all.decorate = [&](std::shared_ptr<storage::Storage> store, std::uint32_t) {
          return storage::with_meter(std::move(store), meter);
        };
        EXPECT_THAT(
            on_threads(workers,
                       [&](std::uint32_t w) { all.merge_rounds(*all.communicator(w), 0, 3); }),
            Each(""));
        const std::uint64_t chunks =
            std::clamp<std::uint64_t>(n, 1, std::min(aggregators, workers));
        EXPECT_EQ(meter->usage().put.requests, 3 * chunks * workers);
        EXPECT_EQ(meter->usage().get.requests, 3 * 2 * chunks * (workers - 1));
      }
}

TEST(LargeChunks, AreMergedInPiecesToTheSameBits) {
  constexpr std::uint32_t kWorkers = 3;
  constexpr std::size_t kValues = 7'000'001;
  const auto value_of = [](std::uint32_t worker, std::size_t i) {
    const auto bits = static_cast<std::uint32_t>(i * 2654435761U + worker * 40503U);
    return static_cast<float>(static_cast<std::int32_t>(bits)) / static_cast<float>(1 + bits % 97);
  };
  std::vector<float> expected(kValues);
  for (std::size_t i = 0; i < kValues; ++i)
    expected[i] = (value_of(0, i) + value_of(1, i)) + value_of(2, i);
  for (const char* pattern : {"reduce", "reduce_scatter"}) {
    Job all{.pattern = pattern, .workers = kWorkers, .uri = memory_place()};
    all.decorate = [&](std::shared_ptr<storage::Storage> store, std::uint32_t w) {
      return storage::with_faults(std::move(store), random_delays(w, 0.005));
    };
    EXPECT_THAT(on_threads(kWorkers,
                           [&](std::uint32_t w) {
                             const auto communicator = all.communicator(w);
                             for (int round = 0; round < 2; ++round) {
                               std::vector<float> values(kValues);
                               for (std::size_t i = 0; i < kValues; ++i) values[i] = value_of(w, i);
                               std::vector<double> totals = {0.5 + w};
                               communicator->merge({values, totals}, Meaning::state);
                               if (values != expected || totals[0] != 4.5)
                                 fail(Code::internal, "round {}: a wrong sum", round);
                             }
                           }),
                Each(""));
    // 28 MB in pieces of 4 MiB; 9.3 MB in three pieces for each of three. Nothing is left of the
    // first round but its merged results.
    const std::size_t pieces = std::string_view(pattern) == "reduce" ? 7 : 9;
    const auto store = storage::open(all.uri);
    EXPECT_EQ(store->list("m/0-").size(), pieces);
    EXPECT_EQ(store->list("m/1-").size(), pieces);
    EXPECT_EQ(store->list("").size(), 2 * pieces + (pieces == 7 ? 2 * 7 : 3 * 6));
    store->clear("");
  }
}

TEST(LargeChunks, AFailureWhileOneIsSavedSurfaces) {
  Job all{.workers = 2, .n = 6'000'000, .uri = memory_place()};
  all.decorate = [](std::shared_ptr<storage::Storage> store, std::uint32_t) {
    return storage::with_faults(std::move(store), [](std::string_view verb, std::string_view key) {
      if (verb == "save" && key == "m/0-1") fail(Code::resource_exhausted, "it is full");
    });
  };
  const auto errors = on_threads(2, [&](std::uint32_t w) {
    Job own = all;
    if (w == 1) own.patience_s = 0.5;
    own.merge_rounds(*own.communicator(w), 0, 1);
  });
  EXPECT_EQ(errors[0], "resource_exhausted: it is full");
  EXPECT_THAT(errors[1], testing::StartsWith("deadline_exceeded: round 0: no word from worker 0"));
}

/// A store at the other end of a network: each request takes 10 ms and moves 100 MB/s, batches go
/// over several connections at the same time.
class Network final : public storage::Wrapper {
 public:
  using Wrapper::Wrapper;

  void save(std::string_view key, Bytes value) override {
    travel(value.size());
    inner().save(key, value);
  }
  void save_all(std::span<const storage::Item> items) override {
    in_parallel(items.size(), [&](std::size_t i) { save(items[i].key, items[i].value); });
  }
  std::optional<Buffer> load(std::string_view key) override {
    std::optional<Buffer> value = inner().load(key);
    travel(value ? value->size() : 0);
    return value;
  }
  std::vector<std::optional<Buffer>> load_present(std::span<const std::string> keys) override {
    std::vector<std::optional<Buffer>> values(keys.size());
    in_parallel(keys.size(), [&](std::size_t i) { values[i] = load(keys[i]); });
    return values;
  }
  std::unique_ptr<storage::KeyWatch> watch(std::vector<std::string> keys) override {
    return storage::watch_by_polling(*this, std::move(keys), pacer_, 32);
  }

 private:
  static void travel(std::size_t bytes) { pause_for(0.01 + static_cast<double>(bytes) / 100e6); }
  template <class Body>
  static void in_parallel(std::size_t n, const Body& body) {
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < n; ++i) threads.emplace_back([&, i] { body(i); });
    for (std::thread& thread : threads) thread.join();
  }

  storage::Pacer pacer_{storage::Pacer::kExpensivePolling};
};

TEST(LargeChunks, TakeLessTimeOverANetworkThanWholeOnes) {
#ifdef LAMBDAML_SANITIZED
  GTEST_SKIP() << "with a sanitizer, merging takes longer than the network";
#endif
  constexpr std::uint32_t kWorkers = 8;
  constexpr std::size_t kValues = 3'000'000;
  double seconds[2] = {1e9, 1e9};
  for (int turn = 0; turn < 4; ++turn)
    for (const bool cut : {false, true}) {
      Job all{.workers = kWorkers, .n = kValues, .uri = memory_place()};
      all.cuts_large_chunks = cut;
      all.decorate = [](std::shared_ptr<storage::Storage> store, std::uint32_t) {
        return std::make_shared<Network>(std::move(store));
      };
      std::vector<double> slowest(kWorkers);
      EXPECT_THAT(on_threads(kWorkers,
                             [&](std::uint32_t w) {
                               const auto communicator = all.communicator(w);
                               std::vector<float> values(kValues, 1.0F);
                               const Stopwatch clock;
                               communicator->merge({values, {}}, Meaning::state);
                               slowest[w] = clock.seconds();
                               if (values[kValues - 1] != kWorkers)
                                 fail(Code::internal, "a wrong sum");
                             }),
                  Each(""));
      seconds[cut ? 1 : 0] = std::min(seconds[cut ? 1 : 0], std::ranges::max(slowest));
      storage::open(all.uri)->clear("");
    }
  RecordProperty("whole_ms", static_cast<int>(seconds[0] * 1e3));
  RecordProperty("cut_ms", static_cast<int>(seconds[1] * 1e3));
  fmt::print("12 MB, 8 workers: whole {:.0f} ms, cut {:.0f} ms\n", seconds[0] * 1e3,
             seconds[1] * 1e3);
  EXPECT_GT(seconds[0], 1.3 * seconds[1]);
}

TEST(Memory, ForMergingIsToldBeforeAJobBegins) {
  const auto needed = [](const char* pattern, std::uint32_t workers, std::size_t n,
                         const std::string& aggregators = "0") {
    return registry().get(pattern).bytes_needed(
        {.workers = workers, .values = n, .options = options_with({{"aggregators", aggregators}})});
  };
  EXPECT_EQ(needed("reduce", 1, 1000), 0U);
  // Nine contributions of 4 MB, the sum, and a copy of it on its way.
  EXPECT_GE(needed("reduce", 10, 1'000'000), 9U * 4'000'000);
  EXPECT_LE(needed("reduce", 10, 1'000'000), 12U * 4'000'064);
  // However many they are, no more is loaded than the window.
  EXPECT_EQ(needed("reduce", 100, 1'000'000), needed("reduce", 1000, 1'000'000));
  EXPECT_LE(needed("reduce", 1000, 1'000'000), (64U << 20U) + 4U * 4'000'064);
  EXPECT_LT(needed("reduce_scatter", 10, 1'000'000), needed("reduce", 10, 1'000'000));
  EXPECT_EQ(needed("reduce", 10, 1'000'000, "10"), needed("reduce_scatter", 10, 1'000'000));
  EXPECT_GE(needed("async", 10, 1'000'000), 10U * 4'000'000);
}

TEST(Memory, ForDoublesIsThatOfOneAggregator) {
  const auto needed = [](const char* pattern, std::uint32_t workers) {
    return registry().get(pattern).bytes_needed({.workers = workers, .totals = 1'000'000});
  };
  for (const char* pattern : {"reduce", "reduce_scatter"}) {
    EXPECT_GE(needed(pattern, 5), 4U * 8'000'000) << pattern;
    EXPECT_LE(needed(pattern, 5), 7U * 8'000'064) << pattern;
    EXPECT_LE(needed(pattern, 1000), (64U << 20U) + 4U * 8'000'064) << pattern;
  }
  EXPECT_EQ(Cut(0, 10).window(1'000'000), 8U);
}

TEST(Memory, OfWorkersWhoseStoreAddsUpDoesNotGrowWithTheirNumber) {
  const auto sums = storage::open("ps://127.0.0.1:1");  // connects when it is first used
  const auto values = storage::open(memory_place());
  for (const Plugin& pattern : registry().entries()) {
    const auto needed = [&](storage::Storage& store, std::uint32_t workers) {
      return bytes_needed(pattern.name, {.workers = workers, .values = 1'000'000}, store);
    };
    EXPECT_EQ(needed(*values, 10), pattern.bytes_needed({.workers = 10, .values = 1'000'000}));
    EXPECT_GT(needed(*values, 10), needed(*sums, 10)) << pattern.name;
    EXPECT_EQ(needed(*sums, 1000), needed(*sums, 10)) << pattern.name;
    EXPECT_GE(needed(*sums, 10), 4'000'000U) << pattern.name;
  }
}

}  // namespace
}  // namespace lambdaml::comm::bulk
