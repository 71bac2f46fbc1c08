// Jobs of the original system one after another: its clients name every job's model alike, and only
// worker 0 registers it.
#include <atomic>

#include <gmock/gmock.h>

#include "lambdaml/ps/testing/original_client.h"
#include "lambdaml/ps/testing/test_support.h"

namespace lambdaml::ps {
namespace {

using testing::HasSubstr;

constexpr std::uint32_t kWorkers = 4;
const std::string kModel = "w.b";

/// Polls as the original's clients do, which wait 0.1 s.
template <class Call>
void until(Call holds) {
  const Deadline patience = Deadline::in(60);
  while (!holds()) {
    if (patience.passed()) fail(Code::deadline_exceeded, "the server never allowed it");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

enum class Begin { by_registering, by_waiting, after_first_pull };

/// A worker of the original's linear_hybrid, with one gradient for all its batches; returns the
/// first and the last model that it has seen.
std::pair<std::vector<double>, std::vector<double>> train(OriginalClient& client, int worker,
                                                          std::size_t length, int batches,
                                                          Begin begin,
                                                          std::uint32_t workers = kWorkers) {
  client.calls.ping();
  if (begin == Begin::by_registering)
    client.calls.register_model(kModel, static_cast<std::int32_t>(length),
                                static_cast<std::int32_t>(workers));
  until([&] { return client.calls.exist_model(kModel); });
  std::pair<std::vector<double>, std::vector<double>> seen;
  const std::vector<double> gradient(length, worker + 1);
  for (int n = 0; n < batches; ++n) {
    if (n > 0 || begin != Begin::after_first_pull) {
      until([&] { return client.calls.can_pull(kModel, n, worker); });
      seen.second = client.pull(kModel, n, worker);
    }
    if (n == 0) seen.first = seen.second;
    until([&] { return client.calls.can_push(kModel, n, worker); });
    client.push(kModel, -0.5 / workers, gradient, n, worker);
    until([&] { return client.calls.can_pull(kModel, n + 1, worker); });
  }
  return seen;
}

class OriginalJobs : public testing::Test {
 protected:
  /// A whole job: worker 0 registers once the others are polling, so that these begin with the
  /// model of the previous job, if there was one.
  void run_job(std::size_t length, int batches, std::uint32_t workers = kWorkers) {
    std::atomic<std::uint32_t> polling = 0;
    on_threads(workers, [&](std::uint32_t worker) {
      OriginalClient client(server);
      if (worker == 0) until([&] { return polling == workers - 1; });
      if (worker != 0 && client.calls.exist_model(kModel)) {
        EXPECT_FALSE(client.calls.can_pull(kModel, 0, static_cast<int>(worker)));
      }
      ++polling;
      const auto [first, last] =
          train(client, static_cast<int>(worker), length, batches,
                worker == 0 ? Begin::by_registering : Begin::by_waiting, workers);
      ASSERT_EQ(last.size(), length);
      const double step = 0.5 * (workers + 1) / 2;
      for (std::size_t i = 0; i < length; ++i) {
        EXPECT_LE(std::abs(first[i]), 0.1) << "not a new model";
        EXPECT_NEAR(last[i], first[i] - step * (batches - 1), 1e-4);
      }
    });
  }
  /// Worker `worker` comes to its first push, in which it waits for the others' pulls.
  void pull_first(OriginalClient& client, int worker) {
    ASSERT_TRUE(client.calls.can_pull(kModel, 0, worker));
    client.pull(kModel, 0, worker);
  }
  /// The rest of a job of 3 values, whose worker 0 has registered it and may have pulled it.
  void finish(OriginalClient& zero, Begin begin) {
    on_threads(kWorkers, [&](std::uint32_t worker) {
      if (worker == 0) {
        train(zero, 0, 3, 2, begin);
        return;
      }
      OriginalClient client(server);
      train(client, static_cast<int>(worker), 3, 2, Begin::by_waiting);
    });
  }

  Server server{on_a_free_port()};
};

TEST_F(OriginalJobs, RunOneAfterAnotherOnOneServer) {
  run_job(3, 5);
  run_job(3, 5);
  run_job(7, 2);
  run_job(3, 1);
  run_job(3, 2, 2 * kWorkers);
  run_job(3, 2, 2);
}

TEST_F(OriginalJobs, BeginAnewOnOneConnection) {
  OriginalClient client(server);
  std::vector<double> start;
  for (int job = 0; job < 3; ++job) {
    client.calls.register_model(kModel, 3, 1);
    ASSERT_TRUE(client.calls.can_pull(kModel, 0, 0));
    const std::vector<double> first = client.pull(kModel, 0, 0);
    if (job == 0) start = first;
    EXPECT_EQ(first, start);
    ASSERT_TRUE(client.calls.can_push(kModel, 0, 0));
    client.push(kModel, 1, {1, 2, 3}, 0, 0);
    ASSERT_TRUE(client.calls.can_pull(kModel, 1, 0));
    EXPECT_NEAR(client.pull(kModel, 1, 0)[2], start[2] + 3, 1e-5);
  }
  client.calls.register_model(kModel, 8, 1);
  EXPECT_EQ(client.pull(kModel, 0, 0).size(), 8U);
}

TEST_F(OriginalJobs, WorkersOfTheReplacedOneAreRefused) {
  OriginalClient zero(server);
  OriginalClient late(server);
  zero.calls.register_model(kModel, 3, 2);
  pull_first(zero, 0);
  pull_first(late, 1);
  zero.push(kModel, 1, {1, 1, 1}, 0, 0);
  OriginalClient next(server);
  next.calls.register_model(kModel, 3, kWorkers);
  const auto gone = HasSubstr("registered anew");
  EXPECT_THAT(refusal_of([&] { late.push(kModel, 1, {1, 1, 1}, 0, 1); }), gone);
  EXPECT_THAT(refusal_of([&] { late.calls.can_push(kModel, 0, 1); }), gone);
  EXPECT_THAT(refusal_of([&] { zero.calls.can_pull(kModel, 1, 0); }), gone);
  EXPECT_THAT(refusal_of([&] { zero.pull(kModel, 1, 0); }), gone);
  finish(next, Begin::by_waiting);
}

TEST_F(OriginalJobs, AWorkerLearnsThatItsJobHasEndedAfterTheNextHasBegun) {
  OriginalClient zero(server);
  OriginalClient late(server);
  zero.calls.register_model(kModel, 3, 2);
  pull_first(zero, 0);
  pull_first(late, 1);
  zero.push(kModel, 1, {1, 1, 1}, 0, 0);
  late.push(kModel, 1, {1, 1, 1}, 0, 1);
  zero.calls.register_model(kModel, 3, kWorkers);
  EXPECT_TRUE(late.calls.can_pull(kModel, 1, 1));
  EXPECT_THAT(refusal_of([&] { late.calls.can_pull(kModel, 2, 1); }), HasSubstr("anew"));
  finish(zero, Begin::by_waiting);
}

TEST_F(OriginalJobs, APushThatWaitsForTheReplacedOneIsRefused) {
  Client ours(address_of(server));
  ours.register_model(kModel, 1, 2);
  std::string why;
  std::thread waits([&] {
    Client client(address_of(server));
    Part part{.id = kModel, .kind = Kind::round, .workers = 2};
    part.wait_ms = 50'000;
    EXPECT_EQ(code_thrown_by([&] { exchange(client, part, {1}); }, &why), Code::not_found);
  });
  until([&] {
    Part asked{.id = kModel, .kind = Kind::round, .workers = 2};
    asked.again = true;
    return !exchange(ours, asked, {1}).sum.resend;
  });
  OriginalClient next(server);
  next.calls.register_model(kModel, 3, kWorkers);
  waits.join();
  EXPECT_THAT(why, HasSubstr("registered anew"));
}

TEST_F(OriginalJobs, WhoseWorkersEachRegisterKeepWhatTheFirstHavePulled) {
  for (int job = 0; job < 3; ++job) {
    OriginalClient first(server);
    first.calls.register_model(kModel, 3, kWorkers);
    pull_first(first, 0);
    on_threads(kWorkers, [&](std::uint32_t worker) {
      if (worker == 0) {
        train(first, 0, 3, 3, Begin::after_first_pull);
        return;
      }
      OriginalClient client(server);
      train(client, static_cast<int>(worker), 3, 3, Begin::by_registering);
    });
  }
}

TEST_F(OriginalJobs, ThatDiedBeforeTheirFirstPushLeaveNoPulls) {
  {
    OriginalClient registers(server);
    registers.calls.register_model(kModel, 3, kWorkers);
    for (int worker = 1; worker < 4; ++worker) {
      OriginalClient dies(server);
      pull_first(dies, worker);
    }
  }
  // A worker of the next job begins before worker 0, and its pull counts.
  OriginalClient early(server);
  pull_first(early, 1);
  OriginalClient zero(server);
  zero.calls.register_model(kModel, 3, kWorkers);
  on_threads(kWorkers, [&](std::uint32_t worker) {
    const int w = static_cast<int>(worker);
    if (worker == 0) {
      train(zero, w, 3, 2, Begin::by_waiting);
    } else if (worker == 1) {
      train(early, w, 3, 2, Begin::after_first_pull);
    } else {
      OriginalClient client(server);
      train(client, w, 3, 2, Begin::by_waiting);
    }
  });
}

TEST_F(OriginalJobs, ThatHangBeforeTheirFirstPushGiveWay) {
  std::vector<std::unique_ptr<OriginalClient>> hanging;
  for (int worker = 0; worker < 3; ++worker) {
    hanging.push_back(std::make_unique<OriginalClient>(server));
    if (worker == 0) hanging[0]->calls.register_model(kModel, 3, kWorkers);
    pull_first(*hanging.back(), worker);
    EXPECT_FALSE(hanging.back()->calls.can_push(kModel, 0, worker));
  }
  OriginalClient zero(server);
  zero.calls.register_model(kModel, 3, kWorkers);
  pull_first(zero, 0);
  for (int worker = 0; worker < 3; ++worker)
    EXPECT_THAT(refusal_of([&] { hanging[worker]->calls.can_push(kModel, 0, worker); }),
                HasSubstr("registered anew"));
  finish(zero, Begin::after_first_pull);
}

TEST_F(OriginalJobs, ModelsThatMoveByARuleAreNotReplaced) {
  Client ours(address_of(server));
  ours.register_vector({.id = kModel, .length = 3, .workers = 1, .learning_rate = 0.5});
  exchange(ours, {.id = kModel, .kind = Kind::round, .workers = 1}, {1, 1, 1});
  OriginalClient client(server);
  EXPECT_THAT(refusal_of([&] { client.calls.register_model(kModel, 3, 1); }),
              HasSubstr("registered already"));
}

TEST(OriginalJobsOnDisk, RestartWithTheModelThatWasRegisteredLast) {
  const Folder folder;
  ServerSettings settings = on_a_free_port();
  settings.dir = folder.path();
  settings.interval_s = 0.01;
  {
    const Server server(settings);
    OriginalClient client(server);
    client.calls.register_model(kModel, 3, 1);
    client.push(kModel, 1, {1, 1, 1}, 0, 0);
    until([&] { return !std::filesystem::is_empty(folder.path() / "models"); });
    client.calls.register_model(kModel, 3, 1);
    client.pull(kModel, 0, 0);
  }
  const Server server(settings);
  OriginalClient client(server);
  EXPECT_TRUE(client.calls.can_push(kModel, 0, 0));
  EXPECT_TRUE(client.calls.can_pull(kModel, 0, 0));
}

TEST(OriginalJobsInLittleMemory, ReplaceAModelThatTakesMostOfIt) {
  ServerSettings settings = on_a_free_port();
  settings.memory_bytes = 1'500'000;
  const Server server(settings);
  constexpr std::int32_t kLength = 250'000;
  OriginalClient client(server);
  client.calls.register_model(kModel, kLength, 1);
  Client ours(address_of(server));
  const Part part{.id = kModel, .kind = Kind::running, .workers = 1, .length = kLength};
  const std::vector<float> value = {1};
  const std::vector<std::uint32_t> index = {5};
  Numbers answer;
  ours.push_pull(part,
                 {{}, std::as_bytes(std::span(value)), std::as_bytes(std::span(index)), Bytes()},
                 answer);
  EXPECT_FALSE(client.calls.can_pull(kModel, 0, 0));
  client.calls.register_model(kModel, kLength, 1);
  EXPECT_TRUE(client.calls.can_pull(kModel, 0, 0));
}

}  // namespace
}  // namespace lambdaml::ps
