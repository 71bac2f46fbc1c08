#include <algorithm>
#include <csignal>

#include <gmock/gmock.h>
#include <sys/mman.h>

#include "lambdaml/comm/message.h"
#include "lambdaml/comm/testing/conformance.h"
#include "lambdaml/storage/testing/faults.h"

namespace lambdaml::comm {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

Job job_of(std::uint32_t workers, std::size_t n = 10) {
  return {.pattern = "async", .workers = workers, .n = n, .uri = memory_place()};
}

TEST(Async, DoesNotWaitForAStoppedWorker) {
  const FolderPlace place;
  Job job = job_of(2);
  job.uri = place.uri();
  const pid_t other = start_process([&] {
    SummingWorker model(job, 1);
    for (std::uint64_t r = 0;; ++r) model.contribute(r);
  });
  const auto store = storage::open(place.uri());
  store->load_or_wait(latest_key(MessageHead::Kind::cumulative, 1, kTotals, 10), Deadline::in(60));
  ASSERT_EQ(::kill(other, SIGSTOP), 0);
  SummingWorker model(job, 0);
  for (std::uint64_t r = 0; r < 100; ++r) model.contribute(r);  // would hang
  EXPECT_EQ(model.communicator->round(), 100U);
  ::kill(other, SIGKILL);
  EXPECT_EQ(end_of(other), SIGKILL);
}

TEST(Async, AWorkerThatRunsAgainTakesBackWhatItRepeats) {
  const Job job = job_of(2);
  SummingWorker a(job, 0);
  SummingWorker b(job, 1);
  for (std::uint64_t r = 0; r < 3; ++r) a.contribute(r);
  b.contribute(0);
  // A checkpoint of a, then two rounds that b sees and that are lost with a.
  const std::vector<double> snapshot = a.communicator->snapshot();
  const Numbers sum_at_checkpoint = a.sum;
  a.contribute(3);
  a.contribute(4);
  b.contribute(1);
  EXPECT_TRUE(b.sum.same_bits(whole_sum({5, 2}, 10)));

  SummingWorker again(job, 0);
  again.sum = sum_at_checkpoint;
  again.communicator->restore(snapshot);
  again.communicator->seek(3);
  again.communicator->catch_up();
  // It computes something else than before: it was given other things.
  again.contribute(whole_contribution(77, 0, 10));
  b.contribute(2);
  Numbers expected = whole_sum({3, 3}, 10);
  expected += whole_contribution(77, 0, 10);
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
  const Numbers expected = whole_sum({kRounds, kRounds}, kN);
  const auto run = [&](const Job& job, std::uint32_t worker, bool second) {
    SummingWorker model(job, worker);
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
  SummingWorker first(job, 0);
  first.contribute(0);
  SummingWorker other(job, 1);
  other.contribute(0);
  EXPECT_THAT(on_threads(2, [&](std::uint32_t w) { w == 0 ? first.finish() : other.finish(); }),
              Each(""));
  // It died after all was done, and runs again from the beginning: its contributions are in.
  SummingWorker second(job, 0);
  second.communicator->catch_up();
  second.contribute(0);
  second.contribute(1);
  second.finish();
  EXPECT_TRUE(second.sum.same_bits(other.sum));
  // A twin that knows nothing of the first cannot change the end either.
  SummingWorker twin(job, 0);
  twin.contribute(5);
  twin.finish();
  EXPECT_TRUE(twin.sum.same_bits(other.sum));
}

TEST(Async, AJobThatGoesOnInAnEmptyStoreLosesNothing) {
  const Job before = job_of(2);
  SummingWorker a(before, 0);
  SummingWorker b(before, 1);
  a.contribute(0);
  b.contribute(0);
  a.contribute(1);
  const std::vector<double> kept_a = a.communicator->snapshot();
  const std::vector<double> kept_b = b.communicator->snapshot();

  const Job after = job_of(2);
  SummingWorker new_a(after, 0);
  new_a.sum = a.sum;
  new_a.communicator->restore(kept_a);
  // b has not come back yet: its old contribution must not be taken for lost.
  EXPECT_EQ(new_a.contribute(2), 1U);
  EXPECT_TRUE(new_a.sum.same_bits(whole_sum({3, 1}, 10)));
  SummingWorker new_b(after, 1);
  new_b.sum = b.sum;
  new_b.communicator->restore(kept_b);
  new_b.contribute(1);
  EXPECT_THAT(on_threads(2, [&](std::uint32_t w) { w == 0 ? new_a.finish() : new_b.finish(); }),
              Each(""));
  EXPECT_TRUE(new_a.sum.same_bits(whole_sum({3, 2}, 10)));
  EXPECT_TRUE(new_b.sum.same_bits(whole_sum({3, 2}, 10)));
}

TEST(Async, AWorkerAtItsEndBringsWhatOthersStillNeedOfItInAnEmptyStore) {
  const Job before = job_of(2);
  SummingWorker a(before, 0);
  SummingWorker b(before, 1);
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
  SummingWorker new_a(after, 0);
  new_a.communicator->restore(kept_a);
  SummingWorker new_b(after, 1);
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
  EXPECT_TRUE(new_b.sum.same_bits(whole_sum({1, 2}, 10)));
  for (const Numbers& state : states) {
    EXPECT_THAT(state.values, ElementsAre(11));
    EXPECT_THAT(state.totals, ElementsAre(102));
  }
}

TEST(Async, RoundingDoesNotAddUp) {
  // 3,000 contributions of 0.1: each float is rounded, but each worker's sum stays within the
  // rounding of one.
  const Job job = job_of(2, 1);
  SummingWorker a(job, 0);
  SummingWorker b(job, 1);
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

TEST(Async, CostsOnePutAndAGetForEachOther) {
  const auto meter = std::make_shared<storage::Meter>();
  Job job = job_of(4);
  job.decorate = [&](std::shared_ptr<storage::Storage> store, std::uint32_t) {
    return storage::with_meter(std::move(store), meter);
  };
  SummingWorker a(job, 0);
  a.contribute(0);
  EXPECT_EQ(meter->usage().put.requests, 1U);
  EXPECT_EQ(meter->usage().get.requests, 3U);
}

TEST(Async, ADamagedMessageIsNeverSummed) {
  const Job job = job_of(2);
  SummingWorker a(job, 0);
  a.contribute(0);
  const auto store = storage::open(job.uri);
  const std::string key = latest_key(MessageHead::Kind::cumulative, 0, kTotals, 10);
  Buffer message = *store->load(key);
  message.data()[70] ^= std::byte{1};
  store->save(key, message);
  SummingWorker b(job, 1);
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
  SummingWorker a(job, 0);
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
