#include "lambdaml/comm/testing/conformance.h"

#include <atomic>
#include <csignal>
#include <thread>

#include <gmock/gmock.h>

#include "lambdaml/base/rng.h"
#include "lambdaml/comm/message.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/storage/wrapper.h"

/// What every registered pattern must do in which every merge waits for all, whatever the store.
namespace lambdaml::comm {
namespace {

using testing::Each;
using testing::HasSubstr;
using testing::StartsWith;

class BulkSynchronousConformance : public testing::TestWithParam<std::string> {
 protected:
  Job job(std::uint32_t workers, std::size_t n) const {
    return {.pattern = GetParam(), .workers = workers, .n = n, .uri = memory_place()};
  }
};

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
  all.patience_s = 0.1;
  const std::vector<std::string> errors = on_threads(4, [&](std::uint32_t w) {
    if (w == 0 || w == 3) all.merge_rounds(*all.communicator(w), 0, 1);
  });
  for (const std::uint32_t w : {0U, 3U})
    EXPECT_THAT(errors[w],
                StartsWith("deadline_exceeded: round 0: no word from workers 1, 2 within 100"));
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
        all.patience_s = retry ? 60 : 0.3;
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
    all.patience_s = 1;
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

TEST(Patterns, RefuseAWorkerThatIsNone) {
  Membership membership;
  membership.worker = 1;
  EXPECT_THROW(registry().get("reduce").make(membership), Error) << "worker 1 of 1";
  membership.workers = 2;
  EXPECT_THROW(registry().get("reduce").make(membership), Error) << "no store";
}

}  // namespace
}  // namespace lambdaml::comm
