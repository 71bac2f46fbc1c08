#include "lambdaml/plan/round_model.h"

#include <numeric>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "lambdaml/plan/simulated_job.h"
#include "lambdaml/plan/simulated_rounds.h"

namespace lambdaml::plan {
namespace {

constexpr double kHeadBytes = 64;
constexpr double kRequests = 60'000;  ///< of each estimate and simulation

double mean_s(const SimulatedRounds& rounds) {
  return std::accumulate(rounds.seconds.begin(), rounds.seconds.end(), 0.0) /
         static_cast<double>(rounds.seconds.size());
}

TEST(RoundModel, IsNearTheSimulator) {
  const sim::Profile profile = sim::Profile::open("aws-x86");
  for (const char* store :
       {"s3-standard", "s3-express", "dynamodb", "redis-r7g.large", "memcached-t4g.small"})
    for (const std::uint32_t workers : {2U, 10U, 50U})
      for (const std::uint32_t aggregators : {1U, 4U, workers})
        for (const double bytes : {4e3, 1e6}) {
          if (aggregators > workers || (aggregators == workers && workers < 10)) continue;
          // Large vectors are small ones that count more.
          const double scale = bytes / 4e3;
          const RoundRequests each = requests_of({workers, aggregators, bytes});
          const auto rounds = static_cast<std::uint64_t>(
              std::clamp(kRequests / (each.puts + each.gets), 8.0, 300.0));
          const SimulatedRounds simulated = simulate_rounds({workers, aggregators, bytes}, profile,
                                                            store, 1769, rounds, 1, scale);
          // Each message has a head.
          const Round whole{workers, aggregators, bytes + scale * kHeadBytes * aggregators};
          const auto n = static_cast<double>(rounds);
          const RoundEstimate model =
              estimate_round(whole, profile.store(store), profile.functions, 1769, n, kRequests);
          const double median_s = quantile(simulated.seconds, 0.5);
          const std::string what = fmt::format(
              "{}, {} workers, {} aggregators, {:g} bytes: {:.4f} s (median {:.4f}), simulated "
              "{:.4f} s ({:.4f})",
              store, workers, aggregators, bytes, model.seconds, model.median_s, mean_s(simulated),
              median_s);
          // The mean of so few rounds has a request that takes seconds, or has none. Where polls
          // are quick, a long wait makes the next one poll late, so that rounds alternate and the
          // median lies between two peaks.
          const bool quick = profile.store(store).polling_is_quick;
          // Of an index, what is noted is estimated, and not what is tidied up.
          const bool has_index = profile.store(store).keeps_index;
          EXPECT_NEAR(model.median_s / median_s, 1, quick ? 0.3 : has_index ? 0.12 : 0.1) << what;
          EXPECT_NEAR(model.gets * n / static_cast<double>(simulated.gets), 1,
                      has_index ? 0.3
                      : quick   ? 0.15
                                : 0.1)
              << what;
        }
}

TEST(RoundModel, IsNearTheSimulatorForAStoreThatAddsUp) {
  const sim::Profile profile = sim::Profile::parse(R"(
name: test
date: 2026-11-30
stores:
  ps: {scheme: ps, put: {median: 0.4, sigma: 0.3}, get: {median: 0.4, sigma: 0.3}, pushes: true,
       adds: true, server: {mb_per_s: 300}, host: {request_ms: 0.05, put_mb_ms: 0.5, get_mb_ms: 0.5}}
functions: {least_mb: 128, most_mb: 4096, mb_per_processor: 1769, host_processors: 2,
            invoke: {always: 1}, cold_start: {always: 40}, longest_s: 900, gb_second: 0, request: 0}
)",
                                                   "test");
  for (const std::uint32_t workers : {2U, 8U, 40U})
    for (const double bytes : {4e3, 1e6}) {
      constexpr std::uint64_t kRounds = 100;
      const SimulatedRounds simulated =
          simulate_rounds({workers, 1, bytes}, profile, "ps", 1769, kRounds, 1, bytes / 4e3);
      EXPECT_TRUE(simulated.equal);
      EXPECT_EQ(simulated.puts, kRounds * workers);
      EXPECT_EQ(simulated.gets, kRounds * workers);
      const RoundEstimate model = estimate_round({workers, 1, bytes}, profile.store("ps"),
                                                 profile.functions, 1769, kRounds, kRequests);
      EXPECT_NEAR(model.median_s / quantile(simulated.seconds, 0.5), 1, 0.1)
          << workers << " workers, " << bytes << " bytes";
      EXPECT_EQ(model.puts, workers);
      EXPECT_EQ(model.gets, workers);
    }
}

}  // namespace
}  // namespace lambdaml::plan
