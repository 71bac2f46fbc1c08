#include "lambdaml/comm/testing/conformance.h"

#include <atomic>
#include <csignal>
#include <thread>

#include <gmock/gmock.h>

#include "lambdaml/base/rng.h"
#include "lambdaml/comm/message.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/storage/testing/faults.h"
#include "lambdaml/storage/wrapper.h"

/// What every registered pattern must do, whatever the store: first those in which every merge
/// waits for all workers, then those that do not wait.
namespace lambdaml::comm {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

class PatternConformance : public testing::TestWithParam<std::string> {
 protected:
  Job job(std::uint32_t workers, std::size_t n) const {
    return {.pattern = GetParam(), .workers = workers, .n = n, .uri = memory_place()};
  }
};

class BulkSynchronousConformance : public PatternConformance {};

INSTANTIATE_TEST_SUITE_P(, BulkSynchronousConformance, testing::ValuesIn(waiting_patterns()),
                         [](const auto& info) { return info.param; });

TEST_P(BulkSynchronousConformance, GivesTheOrderedSumBitByBitInAnyOrderOfArrival) {
  for (const std::uint32_t workers : {1U, 2U, 4U, 7U}) {
    for (const std::size_t n : {0U, 1U, 10U, 1000U, 300'001U}) {
      Job all = job(workers, n);
      all.decorate = [&](std::shared_ptr<storage::Storage> store, std::uint32_t w) {
        return storage::with_faults(std::move(store), random_delays(mix({workers, n, w}), 0.001));
      };
      EXPECT_THAT(on_threads(workers,
                             [&](std::uint32_t w) {
                               const auto communicator = all.communicator(w);
                               all.merge_rounds(*communicator, 0, n > 1000 ? 2 : 4);
                             }),
                  Each(""))
          << workers << " workers, " << n << " floats";
    }
  }
}

TEST_P(BulkSynchronousConformance, GivesTheSameAcrossProcesses) {
  for (const auto& [workers, n] : {std::pair(2U, 1U), {4U, 58U}, {7U, 10U}, {3U, 300'001U}}) {
    const FolderPlace place;
    Job all = job(workers, n);
    all.uri = place.uri();
    const std::uint64_t rounds = n > 1000 ? 3 : 30;
    std::vector<pid_t> processes;
    for (std::uint32_t w = 0; w < workers; ++w)
      processes.push_back(
          start_process([&] { all.merge_rounds(*all.communicator(w), 0, rounds); }));
    for (const pid_t process : processes) EXPECT_EQ(end_of(process), 0);
  }
}

TEST_P(BulkSynchronousConformance, OneWorkerNeedsNoStore) {
  const auto alone = registry().get(GetParam()).make({});
  Numbers numbers = contribution(0, 0, 10);
  EXPECT_EQ(alone->merge(numbers.view(), Meaning::state), 1U);
  EXPECT_TRUE(numbers.same_bits(contribution(0, 0, 10)));
  EXPECT_EQ(alone->round(), 1U);
}

TEST_P(BulkSynchronousConformance, FinishHasNothingToGive) {
  const Job two = job(2, 3);
  const auto communicator = two.communicator(0);
  Numbers numbers = contribution(0, 0, 3);
  EXPECT_EQ(communicator->finish(numbers.view()), 0U);
  EXPECT_THAT(numbers.values, Each(0.0F));
  EXPECT_THAT(numbers.totals, Each(0.0));
}

TEST_P(BulkSynchronousConformance, MergesOfSeveralSizesMayFollowEachOther) {
  Job all = job(3, 0);
  EXPECT_THAT(on_threads(3,
                         [&](std::uint32_t w) {
                           const auto communicator = all.communicator(w);
                           for (std::uint64_t round = 0; round < 12; ++round) {
                             Job sized = all;
                             sized.n = round % 4 * 5;
                             sized.merge_rounds(*communicator, round, round + 1);
                           }
                         }),
              Each(""));
}

TEST_P(BulkSynchronousConformance, TwoJobsInOneStoreDoNotMeet) {
  const std::string uri = memory_place();
  EXPECT_THAT(
      on_threads(6,
                 [&](std::uint32_t i) {
                   Job one = job(3, 10 + i / 3);
                   one.uri = uri;
                   one.id = i / 3;
                   one.decorate = [&](std::shared_ptr<storage::Storage> store, std::uint32_t) {
                     return storage::with_prefix(std::move(store), fmt::format("job-{}/", i / 3));
                   };
                   one.merge_rounds(*one.communicator(i % 3), 0, 50);
                 }),
      Each(""));
}

TEST_P(BulkSynchronousConformance, AWorkerThatIsSilentIsNamed) {
  Job all = job(4, 10);
  all.patience_s = 1;
  const std::vector<std::string> errors = on_threads(4, [&](std::uint32_t w) {
    if (w == 0 || w == 3) all.merge_rounds(*all.communicator(w), 0, 1);
  });
  for (const std::uint32_t w : {0U, 3U})
    EXPECT_THAT(errors[w],
                StartsWith("deadline_exceeded: round 0: no word from workers 1, 2 within 1.0"));
}

TEST_P(BulkSynchronousConformance, ASilentMergerIsNamed) {
  Job all = job(3, 10);
  all.patience_s = 0.1;
  const std::vector<std::string> errors = on_threads(3, [&](std::uint32_t w) {
    if (w > 0) all.merge_rounds(*all.communicator(w), 0, 1);
  });
  for (const std::uint32_t w : {1U, 2U})
    EXPECT_THAT(errors[w], StartsWith("deadline_exceeded: round 0: no word from worker 0 within"));
}

TEST_P(BulkSynchronousConformance, AStoppedWorkerIsWaitedFor) {
  const FolderPlace place;
  Job all = job(3, 1000);
  all.uri = place.uri();
  std::vector<pid_t> processes;
  for (std::uint32_t w = 0; w < 3; ++w)
    processes.push_back(start_process([&] { all.merge_rounds(*all.communicator(w), 0, 800); }));
  for (const pid_t process : processes) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ASSERT_EQ(::kill(process, SIGSTOP), 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    ASSERT_EQ(::kill(process, SIGCONT), 0);
  }
  for (const pid_t process : processes) EXPECT_EQ(end_of(process), 0);
}

TEST_P(BulkSynchronousConformance, AFailingCallSurfacesAndARetriedOneDoesNot) {
  constexpr std::uint32_t kWorkers = 3;
  constexpr std::uint64_t kRounds = 2;
  for (const bool retry : {false, true}) {
    for (std::uint32_t victim = 0; victim < kWorkers; ++victim) {
      // More than a worker makes: its last ones are never reached.
      const std::vector<std::string> outcomes = on_threads(20, [&](std::uint32_t k) {
        bool failed = false;
        Job all = job(kWorkers, 10);
        all.patience_s = retry ? 60 : 1;
        all.decorate = [&](std::shared_ptr<storage::Storage> store, std::uint32_t w) {
          if (w == victim)
            store = storage::with_faults(
                std::move(store), [&, calls = 0U](std::string_view, std::string_view) mutable {
                  if (calls++ != k) return;
                  failed = true;
                  fail(Code::unavailable, "no answer from the service");
                });
          return retry ? storage::with_retry(std::move(store), {.first_delay_s = 1e-4}) : store;
        };
        const std::vector<std::string> errors = on_threads(
            kWorkers, [&](std::uint32_t w) { all.merge_rounds(*all.communicator(w), 0, kRounds); });
        for (std::uint32_t w = 0; w < kWorkers; ++w) {
          const std::string& error = errors[w];
          const std::string should = retry || !failed ? ""
                                     : w == victim    ? "unavailable"
                                                      : "deadline_exceeded";
          // The others are done already when the victim fails at tidying up.
          if (!error.starts_with(should) && !(error.empty() && w != victim))
            fail(Code::internal, "call {} of worker {} fails: worker {}: '{}'", k, victim, w,
                 error);
          if (should.empty() && !error.empty())
            fail(Code::internal, "call {} of worker {}: worker {}: '{}'", k, victim, w, error);
        }
      });
      EXPECT_THAT(outcomes, Each(""));
    }
  }
}

/// A store whose server may start again with nothing in it.
class Forgetful final : public storage::Wrapper {
 public:
  using Wrapper::Wrapper;
  storage::Capabilities capabilities() const override {
    storage::Capabilities out = inner().capabilities();
    out.durable = false;
    return out;
  }
};

TEST_P(BulkSynchronousConformance, WhatAServerForgetsIsPutBack) {
  constexpr std::uint64_t kRounds = 60;
  constexpr std::uint32_t kWorkers = 3;
  Job all = job(kWorkers, 10);
  all.patience_s = 30;
  all.decorate = [&](std::shared_ptr<storage::Storage> store, std::uint32_t w) {
    store = storage::with_faults(std::move(store), random_delays(w, 0.001));
    return std::make_shared<Forgetful>(std::move(store));
  };
  std::atomic<std::uint64_t> reached{0};
  std::thread server([&] {
    for (std::uint64_t round = 5; round < kRounds; round += 11) {
      while (reached < round) std::this_thread::yield();
      storage::open(all.uri)->clear("");
    }
  });
  EXPECT_THAT(on_threads(kWorkers,
                         [&](std::uint32_t w) {
                           all.merge_rounds(*all.communicator(w), 0, kRounds,
                                            [&](std::uint64_t next) {
                                              if (next > reached) reached = next;
                                            });
                           // After its aggregator has left, no worker can restore the last round's
                           // result: a job's workers merge their metrics after it.
                         }),
              Each(""));
  reached = kRounds;
  server.join();
}

/// Spoils what one worker saves.
std::shared_ptr<storage::Storage> spoiled(std::shared_ptr<storage::Storage> store,
                                          const std::function<Buffer(Bytes)>& spoil) {
  class Spoiled final : public storage::Storage {
   public:
    Spoiled(std::shared_ptr<storage::Storage> inner, std::function<Buffer(Bytes)> spoil)
        : inner_(std::move(inner)), spoil_(std::move(spoil)) {}
    storage::Capabilities capabilities() const override { return inner_->capabilities(); }
    std::string describe() const override { return inner_->describe(); }
    void save(std::string_view key, Bytes value) override { inner_->save(key, spoil_(value)); }
    std::optional<Buffer> load(std::string_view key) override { return inner_->load(key); }
    bool create(std::string_view key, Bytes value) override { return inner_->create(key, value); }
    void remove(std::string_view key) override { inner_->remove(key); }
    std::vector<storage::Entry> list(std::string_view prefix) override {
      return inner_->list(prefix);
    }

   private:
    std::shared_ptr<storage::Storage> inner_;
    std::function<Buffer(Bytes)> spoil_;
  };
  return std::make_shared<Spoiled>(std::move(store), spoil);
}

TEST_P(BulkSynchronousConformance, AMessageThatDoesNotFitIsNeverSummed) {
  const auto reencoded = [](Bytes bytes, auto change) {
    const Message message = decode(bytes, "key");
    MessageHead head = message.head;
    std::vector<float> values(message.values.begin(), message.values.end());
    change(head, values);
    return encode(head, message.totals, values);
  };
  const std::vector<std::pair<std::string, std::function<Buffer(Bytes)>>> spoils = {
      {"checksum",
       [](Bytes bytes) {
         Buffer out(bytes);
         out.data()[out.size() - 1] ^= std::byte{1};
         return out;
       }},
      {"shorter", [](Bytes bytes) { return Buffer(bytes.subspan(0, 10)); }},
      {"round",
       [&](Bytes bytes) {
         return reencoded(bytes, [](MessageHead& head, auto&) { head.round += 1; });
       }},
      {"job",
       [&](Bytes bytes) {
         return reencoded(bytes, [](MessageHead& head, auto&) { head.job += 1; });
       }},
      {"worker",
       [&](Bytes bytes) {
         return reencoded(bytes, [](MessageHead& head, auto&) { head.worker += 1; });
       }},
      {"floats", [&](Bytes bytes) {
         return reencoded(bytes, [](MessageHead&, auto& values) { values.push_back(1); });
       }}};
  std::vector<std::pair<std::string, std::string>> results(2 * spoils.size());
  on_threads(static_cast<std::uint32_t>(results.size()), [&](std::uint32_t i) {
    const std::function<Buffer(Bytes)>& spoil = spoils[i / 2].second;
    const std::uint32_t victim = i % 2;
    Job all = job(2, 10);
    all.patience_s = 3;
    all.decorate = [&](std::shared_ptr<storage::Storage> store, std::uint32_t w) {
      return w == victim ? spoiled(std::move(store), spoil) : store;
    };
    const std::vector<std::string> errors =
        on_threads(2, [&](std::uint32_t w) { all.merge_rounds(*all.communicator(w), 0, 1); });
    results[i] = {errors[1 - victim], spoils[i / 2].first};
  });
  for (const auto& [error, what] : results) {
    EXPECT_THAT(error, StartsWith("data_corrupt: the message '"));
    EXPECT_THAT(error, HasSubstr(what));
  }
}

class AsynchronousConformance : public PatternConformance {};

INSTANTIATE_TEST_SUITE_P(, AsynchronousConformance, testing::ValuesIn(patterns_without_waiting()),
                         [](const auto& info) { return info.param; });

/// The workers do not even make the same number of rounds.
std::vector<std::uint64_t> unequal_rounds(std::uint32_t workers) {
  std::vector<std::uint64_t> rounds(workers);
  for (std::uint32_t w = 0; w < workers; ++w) rounds[w] = 5 + 3 * w;
  return rounds;
}

TEST_P(AsynchronousConformance, CountsEachIncrementOnceForEveryWorker) {
  for (const std::uint32_t workers : {1U, 2U, 4U, 7U}) {
    for (const std::size_t n : {0U, 1U, 1000U}) {
      Job all = job(workers, n);
      all.decorate = [&](std::shared_ptr<storage::Storage> store, std::uint32_t w) {
        return storage::with_faults(std::move(store), random_delays(mix({workers, n, w}), 0.001));
      };
      EXPECT_THAT(on_threads(workers,
                             [&](std::uint32_t w) {
                               all.merge_without_waiting(w, unequal_rounds(workers));
                             }),
                  Each(""))
          << workers << " workers, " << n << " floats";
    }
  }
}

TEST_P(AsynchronousConformance, CountsEachIncrementOnceAcrossProcesses) {
  const FolderPlace place;
  Job all = job(4, 1000);
  all.uri = place.uri();
  std::vector<pid_t> processes;
  for (std::uint32_t w = 0; w < all.workers; ++w)
    processes.push_back(
        start_process([&] { all.merge_without_waiting(w, unequal_rounds(all.workers)); }));
  for (const pid_t process : processes) EXPECT_EQ(end_of(process), 0);
}

TEST_P(AsynchronousConformance, GivesEachIncrementOnceHoweverOftenItIsRead) {
  const Job two = job(2, 10);
  SummingWorker a(two, 0);
  SummingWorker b(two, 1);
  EXPECT_EQ(a.contribute(0), 1U);
  EXPECT_EQ(a.contribute(1), 1U);
  EXPECT_EQ(b.contribute(0), 3U) << "its own and two that were waiting";
  EXPECT_EQ(b.contribute(1), 1U) << "nothing new but its own";
  EXPECT_EQ(a.contribute(2), 3U);
  EXPECT_TRUE(a.sum.same_bits(whole_sum({3, 2}, 10)));
}

TEST_P(AsynchronousConformance, AMergeWaitsForNobody) {
  SummingWorker alone(job(4, 10), 2);
  for (std::uint64_t round = 0; round < 5; ++round) EXPECT_EQ(alone.contribute(round), 1U);
  EXPECT_TRUE(alone.sum.same_bits(whole_sum({0, 0, 5, 0}, 10)));
  EXPECT_EQ(alone.communicator->round(), 5U);
}

TEST_P(AsynchronousConformance, WorkersThatDoNotFinishAreNamed) {
  Job all = job(4, 10);
  all.patience_s = 1;
  const std::vector<std::string> errors = on_threads(4, [&](std::uint32_t w) {
    SummingWorker worker(all, w);
    worker.contribute(0);
    if (w % 2 == 0) worker.finish();
  });
  for (const std::uint32_t w : {0U, 2U})
    EXPECT_THAT(errors[w], AllOf(StartsWith("deadline_exceeded: "),
                                 HasSubstr("no word from workers 1, 3 within 1.0")));
}

TEST_P(AsynchronousConformance, OfStatesTheNewestOfEachCounts) {
  const Job three = job(3, 1);
  const auto merge = [](Communicator& communicator, float x) {
    Numbers numbers{{x}, {static_cast<double>(x)}};
    const std::size_t merged = communicator.merge(numbers.view(), Meaning::state);
    EXPECT_EQ(static_cast<double>(numbers.values[0]), numbers.totals[0]);
    return std::pair(merged, numbers.values[0]);
  };
  const auto a = three.communicator(0);
  const auto b = three.communicator(1);
  const auto c = three.communicator(2);
  EXPECT_EQ(merge(*a, 1), std::pair(std::size_t{1}, 1.0F));
  EXPECT_EQ(merge(*a, 2), std::pair(std::size_t{1}, 2.0F));
  EXPECT_EQ(merge(*b, 10), std::pair(std::size_t{2}, 12.0F));
  EXPECT_EQ(merge(*c, 100), std::pair(std::size_t{3}, 112.0F));
  EXPECT_EQ(merge(*b, 20), std::pair(std::size_t{3}, 122.0F));
  EXPECT_EQ(merge(*a, 3), std::pair(std::size_t{3}, 123.0F));
}

TEST_P(AsynchronousConformance, FinishGivesEveryWorkerTheSumOfTheFinalStates) {
  constexpr std::uint64_t kFinal = 99;
  const Job all = job(3, 10);
  Numbers expected = whole_contribution(kFinal, 0, all.n);
  for (std::uint32_t w = 1; w < all.workers; ++w) expected += whole_contribution(kFinal, w, all.n);
  EXPECT_THAT(on_threads(all.workers,
                         [&](std::uint32_t w) {
                           const auto communicator = all.communicator(w);
                           for (std::uint64_t round = 0; round < 2 * w; ++round) {
                             Numbers state = whole_contribution(round, w, all.n);
                             communicator->merge(state.view(), Meaning::state);
                           }
                           Numbers state = whole_contribution(kFinal, w, all.n);
                           const std::size_t merged =
                               communicator->finish(state.view(), Meaning::state);
                           if (merged != all.workers) fail(Code::internal, "{} states", merged);
                           if (!state.same_bits(expected)) fail(Code::internal, "a wrong sum");
                         }),
              Each(""));
}

TEST_P(AsynchronousConformance, VectorsOfSeveralSizesAreApart) {
  const Job two = job(2, 4);
  SummingWorker a(two, 0);
  SummingWorker b(two, 1);
  a.contribute(0);
  std::vector<double> one = {7};
  a.communicator->merge({{}, one}, Meaning::increment);
  b.contribute(0);
  EXPECT_TRUE(b.sum.same_bits(whole_sum({1, 1}, 4)));
  one = {5};
  EXPECT_EQ(b.communicator->merge({{}, one}, Meaning::increment), 2U);
  EXPECT_THAT(one, ElementsAre(12));
}

/// What two workers have received after each of their merges, which follow each other in a fixed
/// order, and after the end.
struct Received {
  std::vector<Numbers> sums;
  std::vector<std::size_t> contributions;
};
Received received(const Job& two, bool restarts) {
  Received out;
  SummingWorker workers[2] = {{two, 0}, {two, 1}};
  const auto note = [&](const SummingWorker& worker) {
    out.sums.push_back(worker.sum);
    out.contributions.push_back(worker.contributions);
  };
  std::uint64_t rounds[2] = {0, 0};
  for (const std::uint32_t w : {0U, 1U, 0U, 0U, 1U, 0U, 1U, 1U, 1U}) {
    workers[w].contribute(rounds[w]++);
    note(workers[w]);
    if (restarts) workers[w].restart();
  }
  EXPECT_THAT(on_threads(2, [&](std::uint32_t w) { workers[w].finish(); }), Each(""));
  for (const SummingWorker& worker : workers) note(worker);
  return out;
}

TEST_P(AsynchronousConformance, ARestoredWorkerGoesOnAsIfNeverStopped) {
  const Received expected = received(job(2, 10), false);
  const Received restored = received(job(2, 10), true);
  EXPECT_EQ(restored.contributions, expected.contributions);
  ASSERT_EQ(restored.sums.size(), expected.sums.size());
  for (std::size_t i = 0; i < expected.sums.size(); ++i)
    EXPECT_TRUE(restored.sums[i].same_bits(expected.sums[i])) << "after merge " << i;
  EXPECT_TRUE(expected.sums.back().same_bits(whole_sum({4, 5}, 10)));
}

TEST_P(AsynchronousConformance, OneWorkerNeedsNoStore) {
  const auto alone = registry().get(GetParam()).make({});
  Numbers numbers = contribution(0, 0, 10);
  EXPECT_EQ(alone->merge(numbers.view(), Meaning::increment), 1U);
  EXPECT_TRUE(numbers.same_bits(contribution(0, 0, 10)));
  EXPECT_EQ(alone->finish(numbers.view()), 0U);
  EXPECT_THAT(numbers.values, Each(0.0F));
  EXPECT_THAT(numbers.totals, Each(0.0));
}

TEST(Patterns, RefuseAWorkerThatIsNone) {
  Membership membership;
  membership.worker = 1;
  EXPECT_THROW(registry().get("reduce").make(membership), Error) << "worker 1 of 1";
  membership.workers = 2;
  EXPECT_THROW(registry().get("reduce").make(membership), Error) << "no store";
}

}  // namespace
}  // namespace lambdaml::comm
