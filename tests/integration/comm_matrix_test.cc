#include <algorithm>
#include <tuple>

#include <gmock/gmock.h>
#include <unistd.h>

#include "integration/stores.h"
#include "lambdaml/comm/testing/conformance.h"
#include "lambdaml/storage/meter.h"
#include "lambdaml/storage/testing/conformance.h"

/// Every pattern over every service, by processes: what crosses their borders is in the store only.
namespace lambdaml::comm {
namespace {

using testing::Each;

std::string place_on(const std::string& scheme) {
  return servers::get(scheme).uri + "/" + storage::unique_place();
}

/// A process that has not ended by then never will.
constexpr unsigned kPatience_s = 120;

/// Runs body(worker) in a process each, which opens its own store: none is inherited. Whether all
/// ended well.
bool in_processes(std::uint32_t workers, const std::function<void(std::uint32_t)>& body) {
  std::vector<pid_t> processes;
  for (std::uint32_t w = 0; w < workers; ++w)
    processes.push_back(start_process([&, w] {
      ::alarm(kPatience_s);
      body(w);
    }));
  bool all = true;
  for (const pid_t process : processes) all &= end_of(process) == 0;
  return all;
}

/// A pattern over a service.
class PatternOnServer : public testing::TestWithParam<std::tuple<std::string, std::string>> {
 protected:
  void SetUp() override { REQUIRE_STORE(scheme()); }

  static std::string pattern() { return std::get<0>(GetParam()); }
  static std::string scheme() { return std::get<1>(GetParam()); }
  static Job job(std::uint32_t workers, std::size_t n) {
    return {.pattern = pattern(), .workers = workers, .n = n, .uri = place_on(scheme())};
  }
};

std::string pattern_over_scheme(
    const testing::TestParamInfo<std::tuple<std::string, std::string>>& info) {
  return std::get<0>(info.param) + "_over_" + std::get<1>(info.param);
}

class OnServers : public PatternOnServer {};

INSTANTIATE_TEST_SUITE_P(, OnServers,
                         testing::Combine(testing::ValuesIn(waiting_patterns()),
                                          testing::ValuesIn(servers::schemes_and_cluster())),
                         pattern_over_scheme);

TEST_P(OnServers, GivesTheOrderedSumBitByBit) {
  for (const std::uint32_t workers : {1U, 2U, 4U, 7U})
    for (const std::size_t n : {0U, 1U, 10U, 1000U, 300'001U}) {
      const Job all = job(workers, n);
      EXPECT_TRUE(in_processes(
          workers,
          [&](std::uint32_t w) { all.merge_rounds(*all.communicator(w), 0, n > 1000 ? 2 : 5); }))
          << workers << " workers, " << n << " floats";
    }
}

TEST_P(OnServers, TwoJobsInOnePlaceDoNotMeet) {
  const std::string uri = place_on(scheme());
  EXPECT_TRUE(in_processes(6, [&](std::uint32_t i) {
    Job one{.pattern = pattern(), .workers = 3, .n = 10 + i / 3, .uri = uri};
    one.id = i / 3;
    one.decorate = [&](std::shared_ptr<storage::Storage> store, std::uint32_t) {
      return storage::with_prefix(std::move(store), fmt::format("job-{}/", i / 3));
    };
    one.merge_rounds(*one.communicator(i % 3), 0, 20);
  }));
}

TEST_P(OnServers, NamesTheSilentWorker) {
  Job all = job(3, 10);
  all.patience_s = 0.3;
  const std::vector<std::string> errors = on_threads(3, [&](std::uint32_t w) {
    if (w != 1) all.merge_rounds(*all.communicator(w), 0, 1);
  });
  for (const std::uint32_t w : {0U, 2U})
    EXPECT_THAT(errors[w],
                testing::StartsWith("deadline_exceeded: round 0: no word from worker 1 within"));
}

/// Usage of all workers in `rounds` rounds, in which all set out at the same time.
storage::Usage usage_of(const Job& all, std::uint64_t rounds) {
  const auto meter = std::make_shared<storage::Meter>();
  Job metered = all;
  metered.decorate = [&](const std::shared_ptr<storage::Storage>&, std::uint32_t) {
    return storage::open(all.uri, meter);
  };
  EXPECT_THAT(on_threads(all.workers,
                         [&](std::uint32_t w) {
                           metered.merge_rounds(*metered.communicator(w), 0, rounds);
                         }),
              Each(""));
  return meter->usage();
}

TEST_P(OnServers, NeverListsInARound) { EXPECT_EQ(usage_of(job(4, 1000), 5).list.requests, 0U); }

class OneServer : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { REQUIRE_STORE(GetParam()); }
};

/// Services that are billed by the request. They are listed here because only an open store knows
/// this, which needs its server, and tests are named before any server runs.
const std::vector<std::string> kBilledSchemes = {"s3", "dynamodb"};

class OnEachServer : public OneServer {};

INSTANTIATE_TEST_SUITE_P(, OnEachServer, testing::ValuesIn(servers::schemes()),
                         [](const auto& info) { return info.param; });

TEST_P(OnEachServer, IsListedIfItIsBilledByTheRequest) {
  EXPECT_EQ(storage::open(place_on(GetParam()))->capabilities().polling_is_expensive,
            std::ranges::find(kBilledSchemes, GetParam()) != kBilledSchemes.end());
}

class OnBilledServers : public OneServer {};

INSTANTIATE_TEST_SUITE_P(, OnBilledServers, testing::ValuesIn(kBilledSchemes),
                         [](const auto& info) { return info.param; });

TEST_P(OnBilledServers, ARoundOfReduceCostsNoMoreThanItSays) {
  constexpr std::uint64_t kRounds = 30;
  for (const std::uint32_t workers : {2U, 4U}) {
    const Job all{.pattern = "reduce", .workers = workers, .n = 1000, .uri = place_on(GetParam())};
    const storage::Usage usage = usage_of(all, kRounds);
    EXPECT_LE(usage.put.requests, kRounds * (workers + 1)) << workers << " workers";
    EXPECT_LE(usage.get.requests, kRounds * 3 * workers) << workers << " workers";
  }
}

TEST_P(OnBilledServers, AWaitOfASecondCostsFewRequests) {
  const auto meter = std::make_shared<storage::Meter>();
  const auto store = storage::open(place_on(GetParam()), meter);
  const std::vector<std::string> keys = {"never/1", "never/2", "never/3", "never/4"};
  EXPECT_THROW(store->load_all(keys, Deadline::in(1)), storage::MissingKeys);
  EXPECT_LT(meter->usage().requests(), 60U);
}

class WithoutWaitingOnServers : public PatternOnServer {};

INSTANTIATE_TEST_SUITE_P(, WithoutWaitingOnServers,
                         testing::Combine(testing::ValuesIn(patterns_without_waiting()),
                                          testing::ValuesIn(servers::schemes())),
                         pattern_over_scheme);

TEST_P(WithoutWaitingOnServers, GivesEveryContributionToEveryWorkerOnce) {
  for (const auto& [workers, n] : {std::pair(1U, 10U), {4U, 1000U}, {3U, 300'001U}}) {
    const Job all = job(workers, n);
    const std::vector<std::uint64_t> rounds(workers, 4);
    EXPECT_TRUE(
        in_processes(workers, [&](std::uint32_t w) { all.merge_without_waiting(w, rounds); }))
        << workers << " workers, " << n << " floats";
  }
}

}  // namespace
}  // namespace lambdaml::comm
