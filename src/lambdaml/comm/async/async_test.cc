#include <algorithm>
#include <atomic>
#include <csignal>
#include <numeric>
#include <thread>

#include <gmock/gmock.h>
#include <sys/mman.h>

#include "lambdaml/base/rng.h"
#include "lambdaml/comm/message.h"
#include "lambdaml/comm/testing/conformance.h"

namespace lambdaml::comm {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

/// Whole numbers, whose sums are exact: a lost or doubled contribution shows as a difference.
Numbers whole(std::uint64_t round, std::uint32_t worker, std::size_t n) {
  Rng rng(mix({round, worker}));
  Numbers out;
  for (std::size_t i = 0; i < n; ++i) out.values.push_back(static_cast<float>(rng.below(100)));
  for (std::size_t i = 0; i < kTotals; ++i)
    out.totals.push_back(static_cast<double>(rng.below(1'000'000)));
  return out;
}

void add(Numbers& to, const Numbers& from) {
  for (std::size_t i = 0; i < to.values.size(); ++i) to.values[i] += from.values[i];
  for (std::size_t i = 0; i < to.totals.size(); ++i) to.totals[i] += from.totals[i];
}

/// A worker and the sum of all that it was given: its model, as an optimizer keeps it.
struct Model {
  Model(const Job& job, std::uint32_t worker) : n(job.n), communicator(job.communicator(worker)) {
    sum.values.resize(n);
    sum.totals.resize(kTotals);
  }

  std::size_t contribute(Numbers numbers) {
    const std::size_t merged = communicator->merge(numbers.view(), Meaning::increment);
    add(sum, numbers);
    contributions += merged;
    return merged;
  }
  std::size_t contribute(std::uint64_t round) {
    return contribute(whole(round, communicator->worker(), n));
  }
  void finish() {
    Numbers rest = whole(0, 0, n);  // what is in it does not count
    contributions += communicator->finish(rest.view());
    add(sum, rest);
  }

  std::size_t n;
  std::unique_ptr<Communicator> communicator;
  Numbers sum;
  std::size_t contributions = 0;
};

Job job_of(std::uint32_t workers, std::size_t n = 10) {
  return {.pattern = "async", .workers = workers, .n = n, .uri = memory_place()};
}

Numbers sum_of_all(std::uint32_t workers, const std::vector<std::uint64_t>& rounds, std::size_t n) {
  Numbers sum{std::vector<float>(n), std::vector<double>(kTotals)};
  for (std::uint32_t w = 0; w < workers; ++w)
    for (std::uint64_t round = 0; round < rounds[w]; ++round) add(sum, whole(round, w, n));
  return sum;
}

TEST(Async, LosesNoContributionAndCountsNoneTwice) {
  for (const std::uint32_t workers : {1U, 2U, 4U, 7U}) {
    for (const std::size_t n : {0U, 1U, 1000U}) {
      Job job = job_of(workers, n);
      job.decorate = [&](std::shared_ptr<storage::Storage> store, std::uint32_t w) {
        return storage::with_faults(std::move(store), random_delays(mix({workers, n, w}), 0.001));
      };
      // Workers do not even make the same number of rounds.
      std::vector<std::uint64_t> rounds(workers);
      for (std::uint32_t w = 0; w < workers; ++w) rounds[w] = 5 + 3 * w;
      const Numbers expected = sum_of_all(workers, rounds, n);
      EXPECT_THAT(on_threads(workers,
                             [&](std::uint32_t w) {
                               Model model(job, w);
                               for (std::uint64_t r = 0; r < rounds[w]; ++r) model.contribute(r);
                               model.finish();
                               if (!model.sum.same_bits(expected))
                                 fail(Code::internal, "a wrong sum at worker {}", w);
                               const std::uint64_t all =
                                   std::accumulate(rounds.begin(), rounds.end(), 0ULL);
                               if (model.contributions != all)
                                 fail(Code::internal, "{} contributions of {}", model.contributions,
                                      all);
                             }),
                  Each(""))
          << workers << " workers, " << n << " floats";
    }
  }
}

TEST(Async, WaitsForNobody) {
  const Job job = job_of(4);
  Model alone(job, 2);
  for (std::uint64_t r = 0; r < 5; ++r) EXPECT_EQ(alone.contribute(r), 1U);
  Numbers expected = whole(0, 2, 10);
  for (std::uint64_t r = 1; r < 5; ++r) add(expected, whole(r, 2, 10));
  EXPECT_TRUE(alone.sum.same_bits(expected));
}

TEST(Async, DoesNotWaitForAStoppedWorker) {
  const FolderPlace place;
  Job job = job_of(2);
  job.uri = place.uri();
  const pid_t other = start_process([&] {
    Model model(job, 1);
    for (std::uint64_t r = 0;; ++r) model.contribute(r);
  });
  const auto store = storage::open(place.uri());
  store->load_or_wait(latest_key(MessageHead::Kind::cumulative, 1, kTotals, 10), Deadline::in(60));
  ASSERT_EQ(::kill(other, SIGSTOP), 0);
  Model model(job, 0);
  for (std::uint64_t r = 0; r < 100; ++r) model.contribute(r);  // would hang
  EXPECT_EQ(model.communicator->round(), 100U);
  ::kill(other, SIGKILL);
  EXPECT_EQ(end_of(other), SIGKILL);
}

TEST(Async, GivesEachContributionOnceHoweverOftenItIsRead) {
  const Job job = job_of(2);
  Model a(job, 0);
  Model b(job, 1);
  EXPECT_EQ(a.contribute(0), 1U);
  EXPECT_EQ(a.contribute(1), 1U);
  EXPECT_EQ(b.contribute(0), 3U) << "its own and two that were waiting";
  EXPECT_EQ(b.contribute(1), 1U) << "nothing new but its own";
  EXPECT_EQ(a.contribute(2), 3U);
  EXPECT_TRUE(a.sum.same_bits(sum_of_all(2, {3, 2}, 10)));
}

TEST(Async, AWorkerThatRunsAgainTakesBackWhatItRepeats) {
  const Job job = job_of(2);
  Model a(job, 0);
  Model b(job, 1);
  for (std::uint64_t r = 0; r < 3; ++r) a.contribute(r);
  b.contribute(0);
  // A checkpoint of a, then two rounds that b sees and that are lost with a.
  const std::vector<double> snapshot = a.communicator->snapshot();
  const Numbers sum_at_checkpoint = a.sum;
  a.contribute(3);
  a.contribute(4);
  b.contribute(1);
  EXPECT_TRUE(b.sum.same_bits(sum_of_all(2, {5, 2}, 10)));

  Model again(job, 0);
  again.sum = sum_at_checkpoint;
  again.communicator->restore(snapshot);
  again.communicator->seek(3);
  again.communicator->catch_up();
  // It computes something else than before: it was given other things.
  again.contribute(whole(77, 0, 10));
  b.contribute(2);
  Numbers expected = sum_of_all(2, {3, 3}, 10);
  add(expected, whole(77, 0, 10));
  EXPECT_TRUE(b.sum.same_bits(expected)) << "rounds 3 and 4 of the first attempt must be gone";
  EXPECT_THAT(on_threads(2, [&](std::uint32_t w) { w == 0 ? again.finish() : b.finish(); }),
              Each(""));
  EXPECT_TRUE(b.sum.same_bits(expected));
  EXPECT_TRUE(again.sum.same_bits(expected));
}

TEST(Async, WorkersKilledAtAnyCallLoseNothing) {
  // A checkpoint after each third round holds the sum that the worker was given, what the
  // communicator asks to keep, and the round; it outlives the process.
  constexpr std::size_t kN = 5;
  constexpr std::uint64_t kRounds = 9;
  struct Checkpoint {
    std::uint64_t round;
    std::size_t snapshot_size;
    float values[kN];
    double totals[kTotals];
    double snapshot[64];
  };
  void* memory = ::mmap(nullptr, sizeof(Checkpoint), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto* checkpoint = static_cast<Checkpoint*>(memory);
  const Numbers expected = sum_of_all(2, {kRounds, kRounds}, kN);
  const auto run = [&](const Job& job, std::uint32_t worker, bool second) {
    Model model(job, worker);
    if (worker == 1) {
      if (second) model.communicator->catch_up();
      if (checkpoint->round > 0) {
        model.communicator->restore({checkpoint->snapshot, checkpoint->snapshot_size});
        model.communicator->seek(checkpoint->round);
        std::copy_n(checkpoint->values, kN, model.sum.values.begin());
        std::copy_n(checkpoint->totals, kTotals, model.sum.totals.begin());
      }
    }
    for (std::uint64_t r = model.communicator->round(); r < kRounds; ++r) {
      model.contribute(r);
      if (worker == 0 || (r + 1) % 3 != 0) continue;
      const std::vector<double> snapshot = model.communicator->snapshot();
      checkpoint->round = r + 1;
      checkpoint->snapshot_size = snapshot.size();
      std::ranges::copy(snapshot, checkpoint->snapshot);
      std::ranges::copy(model.sum.values, checkpoint->values);
      std::ranges::copy(model.sum.totals, checkpoint->totals);
    }
    model.finish();
    if (!model.sum.same_bits(expected)) fail(Code::internal, "worker {}: a wrong sum", worker);
  };
  bool reached = true;
  for (int k = 0; reached; ++k) {
    *checkpoint = {};
    const FolderPlace place;
    Job job = job_of(2, kN);
    job.uri = place.uri();
    Job mortal = job;
    mortal.decorate = [k](std::shared_ptr<storage::Storage> store, std::uint32_t) {
      return storage::with_faults(std::move(store),
                                  [k, calls = 0](std::string_view, std::string_view) mutable {
                                    if (calls++ == k) ::raise(SIGKILL);
                                  });
    };
    const pid_t healthy = start_process([&] { run(job, 0, false); });
    const int status = end_of(start_process([&] { run(mortal, 1, false); }));
    reached = status != 0;
    if (reached) {
      ASSERT_EQ(status, SIGKILL);
      ASSERT_EQ(end_of(start_process([&] { run(job, 1, true); })), 0) << "died at call " << k;
    }
    ASSERT_EQ(end_of(healthy), 0) << "the other died at call " << k;
    ASSERT_LT(k, 200);
  }
  ::munmap(memory, sizeof(Checkpoint));
}

TEST(Async, AnAttemptThatFinishedDecides) {
  const Job job = job_of(2);
  Model first(job, 0);
  first.contribute(0);
  Model other(job, 1);
  other.contribute(0);
  EXPECT_THAT(on_threads(2, [&](std::uint32_t w) { w == 0 ? first.finish() : other.finish(); }),
              Each(""));
  // It died after all was done, and runs again from the beginning: its contributions are in.
  Model second(job, 0);
  second.communicator->catch_up();
  second.contribute(0);
  second.contribute(1);
  second.finish();
  EXPECT_TRUE(second.sum.same_bits(other.sum));
  // A twin that knows nothing of the first cannot change the end either.
  Model twin(job, 0);
  twin.contribute(5);
  twin.finish();
  EXPECT_TRUE(twin.sum.same_bits(other.sum));
}

TEST(Async, AJobThatGoesOnInAnEmptyStoreLosesNothing) {
  const Job before = job_of(2);
  Model a(before, 0);
  Model b(before, 1);
  a.contribute(0);
  b.contribute(0);
  a.contribute(1);
  const std::vector<double> kept_a = a.communicator->snapshot();
  const std::vector<double> kept_b = b.communicator->snapshot();

  const Job after = job_of(2);
  Model new_a(after, 0);
  new_a.sum = a.sum;
  new_a.communicator->restore(kept_a);
  // b has not come back yet: its old contribution must not be taken for lost.
  EXPECT_EQ(new_a.contribute(2), 1U);
  EXPECT_TRUE(new_a.sum.same_bits(sum_of_all(2, {3, 1}, 10)));
  Model new_b(after, 1);
  new_b.sum = b.sum;
  new_b.communicator->restore(kept_b);
  new_b.contribute(1);
  EXPECT_THAT(on_threads(2, [&](std::uint32_t w) { w == 0 ? new_a.finish() : new_b.finish(); }),
              Each(""));
  EXPECT_TRUE(new_a.sum.same_bits(sum_of_all(2, {3, 2}, 10)));
  EXPECT_TRUE(new_b.sum.same_bits(sum_of_all(2, {3, 2}, 10)));
}

TEST(Async, AWorkerAtItsEndBringsWhatOthersStillNeedOfItInAnEmptyStore) {
  const Job before = job_of(2);
  Model a(before, 0);
  Model b(before, 1);
  a.contribute(0);
  std::vector<double> one = {7};
  a.communicator->merge({{}, one}, Meaning::increment);
  b.contribute(0);
  one = {5};
  b.communicator->merge({{}, one}, Meaning::increment);
  const std::vector<double> kept_a = a.communicator->snapshot();
  const std::vector<double> kept_b = b.communicator->snapshot();

  // a had come to its end; b is on its way.
  const Job after = job_of(2);
  Model new_a(after, 0);
  new_a.communicator->restore(kept_a);
  Model new_b(after, 1);
  new_b.sum = b.sum;
  new_b.communicator->restore(kept_b);
  Numbers states[2] = {{{10}, {100}}, {{1}, {2}}};
  EXPECT_THAT(
      on_threads(2,
                 [&](std::uint32_t w) {
                   if (w == 0) {
                     new_a.communicator->finish(states[0].view(), Meaning::state);
                     return;
                   }
                   const auto store = storage::open(after.uri);
                   store->load_or_wait(final_key(0, 0, 0), Deadline::in(20));
                   EXPECT_EQ(new_b.contribute(1), 1U);
                   std::vector<double> three = {3};
                   EXPECT_EQ(new_b.communicator->merge({{}, three}, Meaning::increment), 1U);
                   EXPECT_THAT(three, ElementsAre(3));
                   EXPECT_EQ(new_b.communicator->finish(states[1].view(), Meaning::state), 2U);
                 }),
      Each(""));
  EXPECT_TRUE(new_b.sum.same_bits(sum_of_all(2, {1, 2}, 10)));
  for (const Numbers& state : states) {
    EXPECT_THAT(state.values, ElementsAre(11));
    EXPECT_THAT(state.totals, ElementsAre(102));
  }
}

TEST(Async, RoundingDoesNotAddUp) {
  // 3,000 contributions of 0.1: each float is rounded, but each worker's sum stays within the
  // rounding of one.
  const Job job = job_of(2, 1);
  Model a(job, 0);
  Model b(job, 1);
  double given_a = 0;
  double exact = 0;
  for (int r = 0; r < 3000; ++r) {
    Numbers numbers{{0.1F}, std::vector<double>(kTotals)};
    exact += static_cast<double>(0.1F);
    a.communicator->merge(numbers.view(), Meaning::increment);
    given_a += static_cast<double>(numbers.values[0]);
  }
  EXPECT_NEAR(given_a, exact, 300 * 0x1p-24);
  Numbers numbers{{0.0F}, std::vector<double>(kTotals)};
  b.communicator->merge(numbers.view(), Meaning::increment);
  EXPECT_NEAR(static_cast<double>(numbers.values[0]), exact, 300 * 0x1p-23);
}

TEST(Async, OfStatesTheNewestOfEachCounts) {
  const Job job = job_of(3);
  const auto merge = [&](Communicator& communicator, float x) {
    Numbers numbers{{x}, {static_cast<double>(x)}};
    const std::size_t merged = communicator.merge(numbers.view(), Meaning::state);
    EXPECT_EQ(static_cast<double>(numbers.values[0]), numbers.totals[0]);
    return std::pair(merged, numbers.values[0]);
  };
  const auto a = job.communicator(0);
  const auto b = job.communicator(1);
  const auto c = job.communicator(2);
  EXPECT_EQ(merge(*a, 1), std::pair(std::size_t{1}, 1.0F));
  EXPECT_EQ(merge(*a, 2), std::pair(std::size_t{1}, 2.0F));
  EXPECT_EQ(merge(*b, 10), std::pair(std::size_t{2}, 12.0F));
  EXPECT_EQ(merge(*c, 100), std::pair(std::size_t{3}, 112.0F));
  EXPECT_EQ(merge(*b, 20), std::pair(std::size_t{3}, 122.0F));
  EXPECT_EQ(merge(*a, 3), std::pair(std::size_t{3}, 123.0F));
}

TEST(Async, VectorsOfSeveralSizesAreApart) {
  const Job job = job_of(2, 4);
  Model a(job, 0);
  Model b(job, 1);
  a.contribute(0);
  std::vector<double> one = {7};
  a.communicator->merge({{}, one}, Meaning::increment);
  b.contribute(0);
  EXPECT_TRUE(b.sum.same_bits(sum_of_all(2, {1, 1}, 4)));
  one = {5};
  EXPECT_EQ(b.communicator->merge({{}, one}, Meaning::increment), 2U);
  EXPECT_THAT(one, ElementsAre(12));
}

TEST(Async, CostsOnePutAndAGetForEachOther) {
  const auto meter = std::make_shared<storage::Meter>();
  Job job = job_of(4);
  job.decorate = [&](std::shared_ptr<storage::Storage> store, std::uint32_t) {
    return storage::with_meter(std::move(store), meter);
  };
  Model a(job, 0);
  a.contribute(0);
  EXPECT_EQ(meter->usage().put.requests, 1U);
  EXPECT_EQ(meter->usage().get.requests, 3U);
}

TEST(Async, NamesWhoDoesNotFinish) {
  Job job = job_of(4);
  job.patience_s = 0.3;
  const std::vector<std::string> errors = on_threads(4, [&](std::uint32_t w) {
    Model model(job, w);
    model.contribute(0);
    if (w % 2 == 0) model.finish();
  });
  EXPECT_THAT(errors[0], HasSubstr("no word from workers 1, 3 within 300"));
  EXPECT_THAT(errors[2], StartsWith("deadline_exceeded"));
}

TEST(Async, ADamagedMessageIsNeverSummed) {
  const Job job = job_of(2);
  Model a(job, 0);
  a.contribute(0);
  const auto store = storage::open(job.uri);
  const std::string key = latest_key(MessageHead::Kind::cumulative, 0, kTotals, 10);
  Buffer message = *store->load(key);
  message.data()[70] ^= std::byte{1};
  store->save(key, message);
  Model b(job, 1);
  try {
    b.contribute(0);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::data_corrupt);
    EXPECT_THAT(error.what(), HasSubstr(key));
  }
}

TEST(Async, AForeignSnapshotIsRefused) {
  const Job job = job_of(2);
  Model a(job, 0);
  a.contribute(0);
  std::vector<double> snapshot = a.communicator->snapshot();
  EXPECT_NO_THROW(job.communicator(0)->restore(snapshot));
  EXPECT_NO_THROW(job.communicator(0)->restore({}));
  snapshot.pop_back();
  EXPECT_THROW(job.communicator(0)->restore(snapshot), Error);
  for (const double wrong : {-1.0, 1e300, 1e15, 0x1p63}) {
    snapshot[0] = wrong;
    EXPECT_THROW(job.communicator(0)->restore(snapshot), Error);
  }
  Job reduce = job;
  reduce.pattern = "reduce";
  EXPECT_THROW(reduce.communicator(0)->restore(snapshot), Error);
}

}  // namespace
}  // namespace lambdaml::comm
