#include <atomic>
#include <csignal>
#include <cstring>
#include <mutex>
#include <new>
#include <thread>

#include <gmock/gmock.h>
#include <sys/mman.h>

#include "lambdaml/base/error.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/comm/testing/conformance.h"
#include "lambdaml/storage/testing/faults.h"

/// Merges whose aggregators step what they have summed.
namespace lambdaml::comm {
namespace {

using testing::Each;
using testing::HasSubstr;

constexpr double kStepPatience = 15;

/// A step with a state for each value: state ← state / 2 + sum, and all receive value − state (and
/// the scalars' sum, which is that of the whole vector's states and thus needs all workers).
struct HalvingStep final : ChunkStep {
  HalvingStep(std::vector<float>& of, const std::vector<float>& from, bool with_scalars)
      : state(of), values(from), has_scalars(with_scalars) {}

  std::size_t scalar_count() const override { return has_scalars ? 2 : 0; }
  void measure(std::size_t begin, std::span<const float> sums, std::span<double> scalars) override {
    scalars[0] += static_cast<double>(sums.size());
    for (std::size_t i = 0; i < sums.size(); ++i)
      if (begin + i == 0) scalars[1] = sums[0];
  }
  void begin(std::span<const double> scalars) override {
    ++begun;
    for (const double scalar : scalars) extra += static_cast<float>(scalar);
  }
  void step(std::size_t begin, std::span<const float> sums, std::span<float> result) override {
    for (std::size_t i = 0; i < sums.size(); ++i) {
      state[begin + i] = state[begin + i] / 2 + sums[i];
      result[i] = values[begin + i] - state[begin + i] + extra;
    }
  }

  std::vector<float>& state;
  const std::vector<float>& values;
  bool has_scalars;
  int begun = 0;
  float extra = 0;
};

/// What all have after `rounds`, as one worker computes it from the ordered sums.
std::vector<float> expected_values(std::uint64_t rounds, std::uint32_t workers, std::size_t n,
                                   bool has_scalars) {
  std::vector<float> values(n), state(n);
  for (std::uint64_t r = 0; r < rounds; ++r) {
    const Numbers sum = ordered_sum(r, workers, n);
    HalvingStep step(state, values, has_scalars);
    std::vector<double> scalars(step.scalar_count());
    if (has_scalars) step.measure(0, sum.values, scalars);
    step.begin(scalars);
    std::vector<float> result(n);
    step.step(0, sum.values, result);
    values = std::move(result);
  }
  return values;
}

/// Steps the rounds [from, to) as this worker, with an evaluation's merge after every second one;
/// `after_round` receives the next round, and what a checkpoint must hold.
using AfterRound = std::function<void(std::uint64_t, const std::vector<float>& values,
                                      const std::vector<float>& state)>;
std::vector<float> step_rounds(const Job& job, Communicator& communicator, std::uint64_t from,
                               std::uint64_t to, bool has_scalars, std::vector<float> values,
                               std::vector<float> state, const AfterRound& after_round = {}) {
  for (std::uint64_t round = from; round < to; ++round) {
    Numbers numbers = contribution(round, communicator.worker(), job.n);
    HalvingStep step(state, values, has_scalars);
    if (communicator.merge_and_step(numbers.view(), step) != job.workers)
      fail(Code::internal, "round {}: not all", round);
    if (step.begun != 1) fail(Code::internal, "round {}: begun {} times", round, step.begun);
    const Numbers sum = ordered_sum(round, job.workers, job.n);
    if (numbers.totals != sum.totals) fail(Code::internal, "round {}: wrong totals", round);
    values = numbers.values;
    if (round % 2 == 1) {
      double rows = 1;
      communicator.merge({{}, {&rows, 1}}, Meaning::state);
      if (rows != job.workers) fail(Code::internal, "round {}: {} rows", round, rows);
    }
    if (after_round) after_round(round + 1, values, state);
  }
  return values;
}

struct StepCase {
  std::string pattern;
  std::uint32_t aggregators;
  bool has_scalars;
};

/// Every pattern that can step, and a number of aggregators between those that patterns have.
std::vector<StepCase> step_cases() {
  std::vector<StepCase> out;
  for (const std::string& pattern : waiting_patterns())
    if (registry().get(pattern).make({})->can_step())
      for (const bool has_scalars : {false, true}) out.push_back({pattern, 0, has_scalars});
  if (!out.empty()) out.push_back({out.front().pattern, 2, true});
  return out;
}

class Stepping : public testing::TestWithParam<StepCase> {
 protected:
  Job job(std::uint32_t workers, std::size_t n) const {
    return {.pattern = GetParam().pattern,
            .workers = workers,
            .n = n,
            .uri = memory_place(),
            .patience_s = kStepPatience,
            .options = {{"aggregators", std::to_string(GetParam().aggregators)}}};
  }
};

INSTANTIATE_TEST_SUITE_P(, Stepping, testing::ValuesIn(step_cases()), [](const auto& info) {
  return info.param.pattern + std::to_string(info.param.aggregators) +
         (info.param.has_scalars ? "_with_scalars" : "");
});

TEST_P(Stepping, AllReceiveWhatOneWouldCompute) {
  for (const std::uint32_t workers : {1U, 2U, 4U, 7U})
    for (const std::size_t n : {0U, 1U, 10U, 1000U}) {
      Job all = job(workers, n);
      all.decorate = [&](std::shared_ptr<storage::Storage> store, std::uint32_t w) {
        return storage::with_faults(std::move(store), random_delays(w + n, 0.001));
      };
      const std::vector<float> expected = expected_values(6, workers, n, GetParam().has_scalars);
      EXPECT_THAT(on_threads(workers,
                             [&](std::uint32_t w) {
                               const auto communicator = all.communicator(w);
                               const std::vector<float> got =
                                   step_rounds(all, *communicator, 0, 6, GetParam().has_scalars,
                                               std::vector<float>(n), std::vector<float>(n));
                               if (got != expected) fail(Code::internal, "worker {} differs", w);
                             }),
                  Each(""))
          << workers << " workers, " << n << " floats";
    }
}

TEST(SteppingLarge, ChunksAreSteppedInPieces) {
  constexpr std::size_t kLarge = 2'200'003;  // 8.8 MB: three pieces of one aggregator
  const Job all{.pattern = "reduce", .workers = 2, .n = kLarge, .uri = memory_place()};
  EXPECT_GT(all.communicator(0)->owned(kLarge).size(), 1U);
  const std::vector<float> expected = expected_values(1, 2, kLarge, true);
  EXPECT_THAT(on_threads(2,
                         [&](std::uint32_t w) {
                           const auto communicator = all.communicator(w);
                           const std::vector<float> got =
                               step_rounds(all, *communicator, 0, 1, true,
                                           std::vector<float>(kLarge), std::vector<float>(kLarge));
                           if (got != expected) fail(Code::internal, "worker {} differs", w);
                         }),
              Each(""));
}

TEST_P(Stepping, TheRangesOfAllWorkersCoverTheVectorOnce) {
  for (const std::uint32_t workers : {1U, 2U, 5U})
    for (const std::size_t n : {0U, 1U, 3U, 1000U, 5'000'003U}) {
      const Job all = job(workers, n);
      std::vector<Range> ranges;
      for (std::uint32_t w = 0; w < workers; ++w)
        for (const Range& range : all.communicator(w)->owned(n)) ranges.push_back(range);
      std::ranges::sort(ranges);
      std::size_t at = 0;
      for (const auto& [begin, end] : ranges) {
        EXPECT_EQ(begin, at);
        EXPECT_LE(begin, end);
        at = end;
      }
      EXPECT_EQ(at, n);
    }
}

/// What outlives the processes: each worker's newest checkpoint.
struct SavedSteps {
  static constexpr std::size_t kMost = 16;
  std::uint64_t round;  ///< of steps
  std::uint64_t communicator_round;
  float values[kMost];
  float state[kMost];
};

class SharedSteps {
 public:
  SharedSteps()
      : saved_(static_cast<SavedSteps*>(
            ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
    if (static_cast<void*>(saved_) == MAP_FAILED) throw std::bad_alloc();
  }
  SharedSteps(const SharedSteps&) = delete;
  SharedSteps& operator=(const SharedSteps&) = delete;
  ~SharedSteps() { ::munmap(saved_, kBytes); }
  SavedSteps& of(std::uint32_t worker) { return saved_[worker]; }

 private:
  static constexpr std::size_t kBytes = 4096;
  SavedSteps* saved_;  // the pages are zero
};

constexpr std::uint64_t kSteps = 4;

/// An attempt of a worker, from its newest checkpoint to the end, with a checkpoint every two
/// rounds.
void attempt_steps(const Job& job, std::uint32_t worker, SharedSteps& saved, bool has_scalars,
                   bool second) {
  SavedSteps& own = saved.of(worker);
  const auto communicator = job.communicator(worker);
  communicator->seek(own.communicator_round);
  if (second) communicator->catch_up();
  const std::vector<float> got = step_rounds(
      job, *communicator, own.round, kSteps, has_scalars,
      std::vector<float>(own.values, own.values + job.n),
      std::vector<float>(own.state, own.state + job.n),
      [&](std::uint64_t next, const std::vector<float>& values, const std::vector<float>& state) {
        if (next % 2 != 0) return;
        std::ranges::copy(values, own.values);
        std::ranges::copy(state, own.state);
        own.communicator_round = communicator->round();
        own.round = next;
        communicator->retire(communicator->round());
      });
  if (got != expected_values(kSteps, job.workers, job.n, has_scalars))
    fail(Code::internal, "worker {} ends with other values", worker);
}

TEST_P(Stepping, AnAggregatorKilledAtAnyCallStepsToTheSameBytes) {
  for (const std::uint32_t victim : {0U, 1U}) {
    bool reached = true;
    for (int k = 0; reached; ++k) {
      const FolderPlace place;
      SharedSteps saved;
      Job all = job(3, 11);
      all.uri = place.uri();
      std::vector<pid_t> processes;
      for (std::uint32_t w = 0; w < all.workers; ++w) {
        Job mortal = all;
        if (w == victim)
          mortal.decorate = [&](std::shared_ptr<storage::Storage> store, std::uint32_t) {
            const auto calls = std::make_shared<std::atomic<int>>(0);
            return storage::with_faults(std::move(store),
                                        [k, calls](std::string_view, std::string_view) {
                                          if ((*calls)++ == k) ::raise(SIGKILL);
                                        });
          };
        processes.push_back(
            start_process([&] { attempt_steps(mortal, w, saved, GetParam().has_scalars, false); }));
      }
      const int status = end_of(processes[victim]);
      reached = status != 0;
      if (reached) {
        ASSERT_EQ(status, SIGKILL) << "call " << k;
        processes[victim] =
            start_process([&] { attempt_steps(all, victim, saved, GetParam().has_scalars, true); });
      }
      for (std::uint32_t w = 0; w < all.workers; ++w)
        if (w != victim || reached) {
          ASSERT_EQ(end_of(processes[w]), 0)
              << "worker " << w << " after worker " << victim << " died at call " << k;
        }
      ASSERT_LT(k, 500);
    }
  }
}

TEST_P(Stepping, AWorkerThatRunsTwiceAtTheSameTimeDoesNoHarm) {
  for (std::uint32_t twin = 0; twin < 3; ++twin) {
    Job all = job(3, 7);
    const std::vector<float> expected = expected_values(8, 3, 7, GetParam().has_scalars);
    const auto run = [&](const Job& mine, std::uint32_t worker, bool second) {
      const auto communicator = mine.communicator(worker);
      if (second) communicator->catch_up();
      if (step_rounds(mine, *communicator, 0, 8, GetParam().has_scalars, std::vector<float>(7),
                      std::vector<float>(7)) != expected)
        fail(Code::internal, "worker {} ends with other values", worker);
    };
    EXPECT_THAT(on_threads(4,
                           [&](std::uint32_t i) {
                             Job mine = all;
                             mine.decorate = [&](std::shared_ptr<storage::Storage> store,
                                                 std::uint32_t) {
                               return storage::with_faults(std::move(store),
                                                           random_delays(i, i == 3 ? 0.02 : 0.001));
                             };
                             run(mine, i == 3 ? twin : i, false);
                           }),
                Each(""))
        << "worker " << twin << " ran twice";
    EXPECT_THAT(on_threads(1, [&](std::uint32_t) { run(all, twin, true); }), Each(""))
        << "worker " << twin << " ran again when all was over";
  }
}

TEST_P(Stepping, LeavesAboutOneCheckpointIntervalBehind) {
  Job all = job(3, 11);
  EXPECT_THAT(on_threads(3,
                         [&](std::uint32_t w) {
                           const auto communicator = all.communicator(w);
                           step_rounds(all, *communicator, 0, 40, GetParam().has_scalars,
                                       std::vector<float>(11), std::vector<float>(11),
                                       [&](std::uint64_t, const auto&, const auto&) {
                                         communicator->retire(communicator->round());
                                       });
                         }),
              Each(""));
  // Results and sums of the last rounds, and contributions to two rounds of steps.
  EXPECT_LT(storage::open(all.uri)->list("").size(), 60U);
}

TEST(SteppingElsewhere, IsRefused) {
  for (const std::string& pattern : patterns_without_waiting()) {
    const Job two{.pattern = pattern, .workers = 2, .n = 3, .uri = memory_place()};
    EXPECT_FALSE(two.communicator(0)->can_step()) << pattern;
  }
}

}  // namespace
}  // namespace lambdaml::comm
