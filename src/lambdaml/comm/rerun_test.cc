#include <atomic>
#include <csignal>
#include <new>
#include <thread>

#include <gmock/gmock.h>
#include <sys/mman.h>

#include "lambdaml/comm/testing/conformance.h"
#include "lambdaml/storage/testing/faults.h"

/// Workers that die, run again or run twice.
namespace lambdaml::comm {
namespace {

using testing::Each;

constexpr std::uint64_t kRounds = 5;
constexpr std::uint64_t kCheckpointEvery = 2;

/// So long that no test ends by it; a twentieth of a second, then, is the first look for a merged
/// result.
constexpr double kPatience = 15;

/// What outlives a process: the round of each worker's newest checkpoint.
class SharedCheckpoints {
 public:
  SharedCheckpoints()
      : rounds_(static_cast<std::atomic<std::uint64_t>*>(
            ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
    if (static_cast<void*>(rounds_) == MAP_FAILED) throw std::bad_alloc();
  }
  SharedCheckpoints(const SharedCheckpoints&) = delete;
  SharedCheckpoints& operator=(const SharedCheckpoints&) = delete;
  ~SharedCheckpoints() { ::munmap(rounds_, kBytes); }
  std::atomic<std::uint64_t>& of(std::uint32_t worker) { return rounds_[worker]; }

 private:
  static constexpr std::size_t kBytes = 4096;
  std::atomic<std::uint64_t>* rounds_;  // the pages are zero
};

/// An attempt of a worker, from its newest checkpoint to the end.
void attempt(const Job& job, std::uint32_t worker, SharedCheckpoints& checkpoints, bool second) {
  const auto communicator = job.communicator(worker);
  const std::uint64_t from = checkpoints.of(worker);
  communicator->seek(from);
  if (second) communicator->catch_up();
  job.merge_rounds(*communicator, from, kRounds, [&](std::uint64_t next) {
    if (next % kCheckpointEvery != 0) return;
    checkpoints.of(worker) = next;
    communicator->retire(next);
  });
}

class Rerun : public testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(, Rerun, testing::ValuesIn(waiting_patterns()),
                         [](const auto& info) { return info.param; });

TEST_P(Rerun, AWorkerKilledAtAnyCallJoinsAgain) {
  constexpr std::uint32_t kWorkers = 3;
  for (const std::uint32_t victim : {0U, 2U}) {
    bool reached = true;
    for (int k = 0; reached; ++k) {
      const FolderPlace place;
      SharedCheckpoints checkpoints;
      Job job{.pattern = GetParam(),
              .workers = kWorkers,
              .n = 11,
              .uri = place.uri(),
              .patience_s = kPatience};
      std::vector<pid_t> processes;
      for (std::uint32_t w = 0; w < kWorkers; ++w) {
        Job mortal = job;
        if (w == victim)
          mortal.decorate = [&](std::shared_ptr<storage::Storage> store, std::uint32_t) {
            return storage::with_faults(std::move(store),
                                        [k, calls = 0](std::string_view, std::string_view) mutable {
                                          if (calls++ == k) ::raise(SIGKILL);
                                        });
          };
        processes.push_back(start_process([&] { attempt(mortal, w, checkpoints, false); }));
      }
      const int status = end_of(processes[victim]);
      reached = status != 0;
      if (reached) {
        ASSERT_EQ(status, SIGKILL);
        processes[victim] = start_process([&] { attempt(job, victim, checkpoints, true); });
      }
      for (std::uint32_t w = 0; w < kWorkers; ++w)
        if (w != victim || reached) {
          ASSERT_EQ(end_of(processes[w]), 0)
              << "worker " << w << " after worker " << victim << " died at call " << k;
        }
      ASSERT_LT(k, 500);
    }
  }
}

TEST_P(Rerun, EveryWorkerMayDieInTurn) {
  constexpr std::uint32_t kWorkers = 4;
  const FolderPlace place;
  SharedCheckpoints checkpoints;
  const Job job{.pattern = GetParam(),
                .workers = kWorkers,
                .n = 5,
                .uri = place.uri(),
                .patience_s = kPatience};
  Job mortal = job;
  mortal.decorate = [](std::shared_ptr<storage::Storage> store, std::uint32_t w) {
    return storage::with_faults(std::move(store),
                                [w, calls = 0U](std::string_view, std::string_view) mutable {
                                  if (calls++ == 2 + 3 * w) ::raise(SIGKILL);
                                });
  };
  std::vector<std::thread> hosts;  // each runs its worker until it ends well, three times at most
  std::vector<int> last(kWorkers, -1);
  std::vector<int> tries(kWorkers, 0);
  for (std::uint32_t w = 0; w < kWorkers; ++w)
    hosts.emplace_back([&, w] {
      while (tries[w] < 3 && last[w] != 0) {
        const bool second = tries[w]++ > 0;
        last[w] =
            end_of(start_process([&] { attempt(second ? job : mortal, w, checkpoints, second); }));
      }
    });
  for (std::thread& host : hosts) host.join();
  EXPECT_THAT(last, Each(0));
  EXPECT_THAT(tries, Each(2));
}

TEST_P(Rerun, AWorkerThatRunsTwiceAtTheSameTimeDoesNoHarm) {
  constexpr std::uint32_t kWorkers = 3;
  for (std::uint32_t twin = 0; twin < kWorkers; ++twin) {
    // The twin is slower by far; a second twin starts when the others are done.
    Job job{.pattern = GetParam(),
            .workers = kWorkers,
            .n = 7,
            .uri = memory_place(),
            .patience_s = kPatience};
    const auto errors = on_threads(kWorkers + 1, [&](std::uint32_t i) {
      Job mine = job;
      mine.decorate = [&](std::shared_ptr<storage::Storage> store, std::uint32_t) {
        return storage::with_faults(std::move(store),
                                    random_delays(i, i == kWorkers ? 0.02 : 0.001));
      };
      const std::uint32_t worker = i == kWorkers ? twin : i;
      mine.merge_rounds(*mine.communicator(worker), 0, 10);
    });
    EXPECT_THAT(errors, Each("")) << "worker " << twin << " ran twice";
    EXPECT_THAT(on_threads(1,
                           [&](std::uint32_t) {
                             const auto late = job.communicator(twin);
                             job.merge_rounds(*late, 0, 10);
                           }),
                Each(""))
        << "worker " << twin << " ran again when all was over";
  }
}

TEST_P(Rerun, ASecondAttemptReadsAndDoesNotContribute) {
  Job job{
      .pattern = GetParam(), .workers = 3, .n = 7, .uri = memory_place(), .patience_s = kPatience};
  EXPECT_THAT(
      on_threads(3, [&](std::uint32_t w) { job.merge_rounds(*job.communicator(w), 0, 10); }),
      Each(""));
  const auto meter = std::make_shared<storage::Meter>();
  job.decorate = [&](std::shared_ptr<storage::Storage> store, std::uint32_t) {
    return storage::with_meter(std::move(store), meter);
  };
  for (std::uint32_t w = 0; w < 3; ++w) {
    const auto communicator = job.communicator(w);
    communicator->catch_up();
    EXPECT_NO_THROW(job.merge_rounds(*communicator, 0, 10));
  }
  EXPECT_EQ(meter->usage().put.requests, 0U);
}

}  // namespace
}  // namespace lambdaml::comm
