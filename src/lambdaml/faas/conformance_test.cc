// What every platform must do; each registered one runs it.
#include <atomic>
#include <mutex>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/faas/testing/test_support.h"

namespace lambdaml::faas::testing {
namespace {

using State = EventStatus::State;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class PlatformConformance : public ::testing::TestWithParam<std::string> {
 protected:
  std::vector<EventStatus> run(const Function& function, std::vector<std::string> payloads,
                               FailureObserver observer = {}) {
    return run_all(GetParam(), function, std::move(payloads), std::move(observer));
  }
};

/// A remote platform starts nothing of this machine; its tests play the service. The functions of
/// the platform http can be anywhere.
std::vector<std::string> platforms_here() {
  std::vector<std::string> names;
  for (const Plugin& plugin : registry().entries())
    if (!plugin.remote || plugin.name == "http") names.push_back(plugin.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(All, PlatformConformance, ::testing::ValuesIn(platforms_here()),
                         [](const auto& param_info) { return param_info.param; });

TEST_P(PlatformConformance, ResponsesComeInTheOrderOfThePayloads) {
  const auto status = run(test_function(), {"echo a b", "echo ", "echo \xff\x01{}"});
  ASSERT_EQ(status.size(), 3u);
  EXPECT_EQ(status[0].response, "a b");
  EXPECT_EQ(status[1].response, "");
  EXPECT_EQ(status[2].response, "\xff\x01{}");
  for (const EventStatus& one : status) {
    EXPECT_EQ(one.state, State::succeeded);
    EXPECT_EQ(one.attempts, 1);
    EXPECT_EQ(one.process_id, 0);
  }
}

TEST_P(PlatformConformance, AnEventThatGoesOnIsSentAgainAsANewOne) {
  Function function = test_function();
  std::atomic<int> asked{0};
  function.goes_on = [&asked](const std::string&) { return ++asked < 4; };
  function.retries = 0;
  const auto status = run(function, {"id"});
  EXPECT_EQ(status[0].state, State::succeeded);
  EXPECT_EQ(status[0].attempts, 1);
  EXPECT_EQ(asked, 4);
}

TEST_P(PlatformConformance, NoEventsAreOverAtOnce) {
  EXPECT_TRUE(run(test_function(), {}).empty());
}

TEST_P(PlatformConformance, EventsRunAtTheSameTime) {
  const TempFolder folder;
  const std::string payload = "rendezvous " + folder.path().string() + " 8";
  for (const EventStatus& one : run(test_function(), std::vector<std::string>(8, payload)))
    EXPECT_EQ(one.response, "met") << one.error_message;
}

TEST_P(PlatformConformance, RequestIdsDifferAndStayOverTheTries) {
  const auto status = run(test_function(), {"id", "id"});
  EXPECT_THAT(status[0].response,
              ::testing::MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-"
                                      "[0-9a-f]{12}"));
  EXPECT_NE(status[0].response, status[1].response);
  const TempFolder folder;
  const std::string id = run(test_function(), {"id_twice " + (folder / "ids")})[0].response;
  EXPECT_EQ(content_of(folder / "ids"), id + "\n" + id + "\n");
}

TEST_P(PlatformConformance, LargePayloadsAndResponsesArrive) {
  const std::string payload = "echo " + std::string(5'000'000, 'p');
  const auto status = run(test_function(), {payload, "answer 6291556"});
  EXPECT_EQ(status[0].response, payload.substr(5));
  EXPECT_EQ(status[1].response.size(), 6'291'556u);
}

TEST_P(PlatformConformance, AResponseAboveTheLimitFailsTheEventAtOnce) {
  const auto status = run(test_function(), {"answer 6291557"});
  EXPECT_EQ(status[0].state, State::failed);
  EXPECT_EQ(status[0].error_type, "Function.ResponseSizeTooLarge");
  EXPECT_EQ(status[0].attempts, 1);
}

TEST_P(PlatformConformance, AnErrorThatMayPassIsTriedAgain) {
  const TempFolder folder;
  std::vector<std::string> seen;
  const auto status = run(test_function(), {"throw_first " + (folder / "state")},
                          [&](std::size_t event, const EventStatus& failed, bool will_retry) {
                            seen.push_back(fmt::format("{} {} {} {}", event, failed.attempts,
                                                       failed.error_type, will_retry));
                          });
  EXPECT_EQ(status[0].state, State::succeeded);
  EXPECT_EQ(status[0].response, "second");
  EXPECT_EQ(status[0].attempts, 2);
  EXPECT_THAT(seen, ElementsAre("0 1 unavailable true"));
}

TEST_P(PlatformConformance, TriesEndAfterTheRetries) {
  for (const int retries : {0, 1, 2}) {
    Function function = test_function();
    function.retries = retries;
    int observed = 0;
    const auto status = run(function, {"throw unavailable gone"},
                            [&](std::size_t, const EventStatus& failed, bool will_retry) {
                              ++observed;
                              EXPECT_EQ(failed.attempts, observed);
                              EXPECT_EQ(will_retry, observed <= retries);
                            });
    EXPECT_EQ(status[0].state, State::failed);
    EXPECT_EQ(status[0].attempts, retries + 1);
    EXPECT_EQ(observed, retries + 1);
    EXPECT_EQ(status[0].error_type, "unavailable");
    EXPECT_EQ(status[0].error_message, "worker 0: gone");
  }
}

TEST_P(PlatformConformance, AnErrorThatWouldComeAgainIsNotTriedAgain) {
  for (const std::string type :
       {"invalid_argument", "not_found", "already_exists", "data_corrupt", "permission_denied"}) {
    const auto status = run(test_function(), {"throw " + type + " no"});
    EXPECT_EQ(status[0].attempts, 1) << type;
    EXPECT_EQ(status[0].error_type, type);
  }
}

TEST_P(PlatformConformance, OneLostEventEndsTheWait) {
  const TempFolder folder;
  const auto invoker = default_invoker(GetParam());
  Function function = test_function();
  const auto invocations =
      invoker->invoke_all(function, {"sleep 2", "throw invalid_argument no"}, {});
  EXPECT_TRUE(invocations->wait(30));
  EXPECT_THAT(invocations->status()[0].state, AnyOf(State::waiting, State::running));
  EXPECT_EQ(invocations->status()[1].state, State::failed);
}

TEST_P(PlatformConformance, AWaitEndsWithItsTime) {
  const auto invoker = default_invoker(GetParam());
  const auto invocations = invoker->invoke_all(test_function(), {"sleep 0.3"}, {});
  EXPECT_FALSE(invocations->wait(0.01));
  EXPECT_TRUE(invocations->wait(30));
  EXPECT_TRUE(invocations->wait(0)) << "what is over stays over";
}

TEST_P(PlatformConformance, ATryThatOverrunsIsReportedAndTriedAgain) {
  Function function = test_function();
  function.timeout_s = 0.15;
  function.retries = 1;
  const auto status = run(function, {"sleep 0.3"});
  EXPECT_EQ(status[0].state, State::failed);
  EXPECT_EQ(status[0].attempts, 2);
  EXPECT_EQ(status[0].error_type, "Sandbox.Timedout");
  EXPECT_THAT(status[0].error_message, HasSubstr("worker 0: timed out after 0.15 s"));
}

TEST_P(PlatformConformance, TheDeadlineIsTheTimeOut) {
  Function function = test_function();
  function.timeout_s = 40;
  const double left = std::stod(run(function, {"seconds_left"})[0].response);
  EXPECT_GT(left, 30);
  EXPECT_LE(left, 40.1);
}

TEST_P(PlatformConformance, CancelEndsEventsThatWaitForTheirRetry) {
  Function function = test_function();
  function.retry_delay_s = 1000;
  const auto invoker = default_invoker(GetParam());
  std::atomic<bool> failed = false;
  const auto invocations =
      invoker->invoke_all(function, {"throw unavailable gone"},
                          [&](std::size_t, const EventStatus&, bool) { failed = true; });
  ASSERT_TRUE(eventually([&] { return failed.load(); }));
  invocations->cancel();
  invocations->cancel();
  EXPECT_TRUE(invocations->wait(0));
  EXPECT_EQ(invocations->status()[0].state, State::failed);
  EXPECT_EQ(invocations->status()[0].error_type, "cancelled");
}

TEST_P(PlatformConformance, AnObserverThatThrowsHarmsNothing) {
  const TempFolder folder;
  const auto status = run(test_function(), {"throw_first " + (folder / "state")},
                          [](std::size_t, const EventStatus&, bool) { throw 1; });
  EXPECT_EQ(status[0].response, "second");
}

}  // namespace
}  // namespace lambdaml::faas::testing
