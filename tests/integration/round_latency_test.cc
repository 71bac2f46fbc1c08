#include <algorithm>
#include <cstdio>
#include <map>

#include <gmock/gmock.h>

#include "lambdaml/base/rng.h"
#include "lambdaml/comm/testing/conformance.h"
#include "lambdaml/sim/world.h"

/// What waiting adds to the requests of a round over a store that can only be polled, in the time
/// of a simulation, in which every request takes 5 ms: so the figures are exact, and those of every
/// machine.
namespace lambdaml::comm {
namespace {

constexpr double kRequest_s = 0.005;  // S3 Express One Zone
constexpr std::uint32_t kWorkers = 8;
constexpr std::uint64_t kRounds = 200;
/// Until waits have learned.
constexpr std::uint64_t kFirst = 20;

const char* const kProfile = R"(
name: test
date: 2026-11-30
stores:
  express: {scheme: s3, put: {always: 5}, get: {always: 5}, parallel: 32, polling_is_expensive: true,
            polling_is_quick: true}
functions: {least_mb: 128, most_mb: 1024, mb_per_processor: 1000, invoke: {always: 1},
            cold_start: {always: 1}, longest_s: 60, gb_second: 1, request: 0}
)";

struct Rounds {
  double longest_s = 0, mean_s = 0;
  double gets = 0;  ///< a round
};

/// Rounds of `reduce` after the first ones. Before each, every worker computes for so many seconds,
/// and up to `jitter_s` more.
Rounds rounds_with(double compute_s, double jitter_s) {
  sim::Simulation simulation(1);
  sim::World world(simulation, sim::Profile::parse(kProfile, "test"));
  const Job job{.workers = kWorkers, .n = 58, .uri = "sim://express"};
  std::map<std::uint64_t, double> ends_s;  // of the last worker
  std::uint64_t gets_before = 0;
  for (std::uint32_t w = 0; w < kWorkers; ++w)
    simulation.start("worker", [&, w] {
      Rng rng(w + 1);
      job.merge_rounds(*job.communicator(w), 0, kRounds, [&](std::uint64_t next) {
        ends_s[next] = std::max(ends_s[next], simulation.now_s());
        if (next == kFirst) gets_before = world.store("express")->traffic().gets;
        simulation.pause(compute_s + rng.uniform(0, jitter_s));
      });
    });
  simulation.run();
  Rounds out;
  for (std::uint64_t r = kFirst + 1; r <= kRounds; ++r)
    out.longest_s = std::max(out.longest_s, ends_s[r] - ends_s[r - 1]);
  constexpr double kCounted = kRounds - kFirst;
  out.mean_s = (ends_s[kRounds] - ends_s[kFirst]) / kCounted;
  out.gets = static_cast<double>(world.store("express")->traffic().gets - gets_before) / kCounted;
  std::printf("computing %.0f to %.0f ms: mean %.2f, longest %.2f ms, %.1f GETs\n", 1e3 * compute_s,
              1e3 * (compute_s + jitter_s), 1e3 * out.mean_s, 1e3 * out.longest_s, out.gets);
  return out;
}

/// Each worker saves its vector and loads the sum; the aggregator loads and saves between.
constexpr double kFourRequests_s = 4 * kRequest_s;

TEST(RoundLatency, IsThatOfFourRequests) {
  EXPECT_LE(rounds_with(0, 0).longest_s, 1.3 * kFourRequests_s);
}

TEST(RoundLatency, OfWorkersThatAreNotInStep) {
  for (const double jitter_s : {0.001, 0.003, 0.01}) {
    const Rounds rounds = rounds_with(0.002, jitter_s);
    // The last of them decides.
    EXPECT_LE(rounds.mean_s, 0.002 + jitter_s + 1.3 * kFourRequests_s);
  }
}

TEST(RoundLatency, IsNotBoughtWithManyRequests) {
  // 14 GETs are necessary; each more costs as much as a millisecond of a function.
  constexpr double kNecessary = 2 * (kWorkers - 1);
  EXPECT_LE(rounds_with(0, 0).gets, 1.6 * kNecessary);
  EXPECT_LE(rounds_with(0.01, 0.0025).gets, 1.6 * kNecessary);
  EXPECT_LE(rounds_with(0.1, 0.025).gets, 2.3 * kNecessary);
  EXPECT_LE(rounds_with(1, 0.25).gets, 6.5 * kNecessary);
}

}  // namespace
}  // namespace lambdaml::comm
