#include <atomic>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/aws/testing/scoped_environment.h"
#include "lambdaml/aws/testing/scripted_server.h"
#include "lambdaml/base/error.h"
#include "lambdaml/faas/registry.h"

namespace lambdaml::faas {
namespace {

using ::lambdaml::aws::ScopedEnvironment;
using ::lambdaml::aws::ScriptedAnswer;
using ::lambdaml::aws::ScriptedRequest;
using ::lambdaml::aws::ScriptedServer;
using State = EventStatus::State;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// A service that takes every event, with a limit on concurrency.
class AwsPlatformTest : public ::testing::Test {
 protected:
  AwsPlatformTest() { environment_.set("AWS_ENDPOINT_URL_LAMBDA", server_.url()); }

  ScriptedAnswer answer(const ScriptedRequest& request) {
    const std::string& target = request.target;
    if (target.find("account-settings") != std::string::npos)
      return {.body = R"({"AccountLimit":{"ConcurrentExecutions":10,)"
                      R"("UnreservedConcurrentExecutions":4}})"};
    if (target.find("/configuration") != std::string::npos && may_ask_) {
      ++asked_for_configuration_;
      return {.body = architecture_.empty()
                          ? R"({"FunctionName":"workers","MemorySize":3008})"
                          : fmt::format(R"({{"FunctionName":"workers","MemorySize":3008,)"
                                        R"("Architectures":["{}"]}})",
                                        architecture_)};
    }
    if (target.find("/con") != std::string::npos) {
      if (!may_ask_)
        return {.status = 403,
                .headers = {{"x-amzn-errortype", "AccessDeniedException"}},
                .body = "{}"};
      return {.body = reserved_
                          ? fmt::format(R"({{"ReservedConcurrentExecutions":{}}})", *reserved_)
                          : "{}"};
    }
    ++taken_;
    return {.status = status_, .headers = {{"x-amzn-errortype", error_}}, .body = ""};
  }

  std::unique_ptr<Invocations> start(std::size_t events, FailureObserver observer = {}) {
    const Plugin& aws = registry().get("aws");
    Options options(aws.options);
    options.parse("function", name_, "test");
    return aws.make(options)->invoke_all(function_, std::vector<std::string>(events, "{}"),
                                         std::move(observer));
  }
  Error start_fails(std::size_t events) {
    try {
      start(events);
    } catch (const Error& error) {
      return error;
    }
    return Error(Code::internal, "nothing was thrown");
  }
  static Function function() {
    Function function;
    function.query_status = each([](std::size_t) { return std::nullopt; });
    return function;
  }
  /// What is told of each event by itself.
  static Function::StatusQuery each(
      std::function<std::optional<EventStatus>(std::size_t event)> outcome) {
    return [outcome = std::move(outcome)](std::span<const std::size_t> events) {
      std::vector<std::optional<EventStatus>> all;
      for (const std::size_t event : events) all.push_back(outcome(event));
      return all;
    };
  }
  static EventStatus ended(State state, const std::string& text) {
    EventStatus status;
    status.state = state;
    if (state == State::succeeded)
      status.response = text;
    else
      status.error_type = "diverged", status.error_message = text;
    return status;
  }

  ScopedEnvironment environment_{ScopedEnvironment::with_keys()};
  std::optional<int> reserved_;
  bool may_ask_ = true;
  std::string architecture_;
  int status_ = 202;
  std::string error_;
  int taken_ = 0;
  int asked_for_configuration_ = 0;
  Function function_ = function();
  std::string name_ = "workers";
  ScriptedServer server_{[this](const ScriptedRequest& request) { return answer(request); }};
};

TEST_F(AwsPlatformTest, EventsEndAsTheCallerSaysTheyDo) {
  std::atomic<int> asked = 0;
  function_.query_status = each([&](std::size_t event) -> std::optional<EventStatus> {
    if (++asked < 6) return {};
    return ended(State::succeeded, "result " + std::to_string(event));
  });
  const auto invocations = start(3);
  EXPECT_EQ(taken_, 3);
  EXPECT_EQ(invocations->status()[0].state, State::running);
  EXPECT_FALSE(invocations->wait(0));
  EXPECT_TRUE(invocations->wait(20));
  EXPECT_EQ(invocations->status()[2].response, "result 2");
  EXPECT_EQ(invocations->status()[2].attempts, 1);
}

TEST_F(AwsPlatformTest, AllThatRunAreAskedForAtOnce) {
  std::vector<std::vector<std::size_t>> asked;  // by the one thread that asks
  function_.query_status = [&](std::span<const std::size_t> events) {
    asked.emplace_back(events.begin(), events.end());
    std::vector<std::optional<EventStatus>> all(events.size());
    if (asked.size() == 2) all[1] = ended(State::succeeded, "first");
    if (asked.size() == 3)
      for (auto& status : all) status = ended(State::succeeded, "last");
    return all;
  };
  EXPECT_TRUE(start(3)->wait(20));
  EXPECT_EQ(asked, (std::vector<std::vector<std::size_t>>{{0, 1, 2}, {0, 1, 2}, {0, 2}}));
}

TEST_F(AwsPlatformTest, OneLostEventEndsTheWaitAndIsReported) {
  function_.query_status = each([&](std::size_t event) -> std::optional<EventStatus> {
    if (event != 1) return {};
    return ended(State::failed, "nan");
  });
  std::atomic<int> observed = 0;
  const auto invocations = start(3, [&](std::size_t event, const EventStatus& status, bool retry) {
    ++observed;
    EXPECT_EQ(event, 1u);
    EXPECT_EQ(status.error_type, "diverged");
    EXPECT_FALSE(retry);
  });
  EXPECT_TRUE(invocations->wait(20));
  EXPECT_EQ(observed, 1);
  EXPECT_EQ(invocations->status()[0].state, State::running);
  invocations->cancel();
  EXPECT_EQ(invocations->status()[0].error_type, "cancelled");
  EXPECT_EQ(invocations->status()[1].error_type, "diverged");
  EXPECT_TRUE(invocations->wait(0));
}

TEST_F(AwsPlatformTest, ASignOfLifeTellsOfTries) {
  function_.query_status = each([&](std::size_t) {
    EventStatus status;
    status.state = State::running;
    status.attempts = 2;
    return status;
  });
  const auto invocations = start(1);
  EXPECT_FALSE(invocations->wait(0.5));
  EXPECT_EQ(invocations->status()[0].attempts, 2);
}

TEST_F(AwsPlatformTest, AStoreThatCannotBeReadFailsTheEventUnlessThatMayPass) {
  std::atomic<int> asked = 0;
  function_.query_status = each([&](std::size_t) -> std::optional<EventStatus> {
    if (++asked == 1) fail(Code::unavailable, "a hiccup");
    fail(Code::permission_denied, "not yours");
  });
  const auto invocations = start(1);
  EXPECT_TRUE(invocations->wait(20));
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(invocations->status()[0].error_type, "permission_denied");
  EXPECT_THAT(invocations->status()[0].error_message, HasSubstr("not yours"));
}

TEST_F(AwsPlatformTest, NoEventsAreOverAtOnce) { EXPECT_TRUE(start(0)->wait(10)); }

TEST_F(AwsPlatformTest, AJobThatNeedsAllAtOnceIsHeldAgainstTheLimit) {
  function_.all_at_once = true;
  start(4);
  const Error error = start_fails(5);
  EXPECT_EQ(error.code(), Code::resource_exhausted);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("5 workers"), HasSubstr("of the account is 4"),
                                  HasSubstr("--sync-mode async")));
  reserved_ = 2;
  EXPECT_THAT(start_fails(3).what(), HasSubstr("reserved for the function is 2"));
  EXPECT_EQ(taken_, 4);
  // Who is not told does not refuse.
  may_ask_ = false;
  start(9);
  EXPECT_EQ(taken_, 13);
}

TEST_F(AwsPlatformTest, AFunctionHasTheMemoryAndTheArchitectureThatItWasDeployedWith) {
  const auto deployed = [&] {
    const Plugin& aws = registry().get("aws");
    Options options(aws.options);
    options.parse("function", name_, "test");
    return aws.deployed_function(options);
  };
  const auto memory_mb = [&] { return deployed().memory_mb; };
  EXPECT_EQ(deployed().architecture, "x86_64") << "as Lambda has it where nothing is said";
  architecture_ = "arm64";
  EXPECT_EQ(deployed().architecture, "arm64");
  asked_for_configuration_ = 0;
  EXPECT_EQ(memory_mb(), 3008);
  EXPECT_EQ(asked_for_configuration_, 1);
  // A function knows its own.
  environment_.set("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512");
  EXPECT_EQ(memory_mb(), 3008);
  environment_.set("AWS_LAMBDA_FUNCTION_NAME", name_);
  EXPECT_EQ(memory_mb(), 512);
  EXPECT_EQ(asked_for_configuration_, 2);
  environment_.set("AWS_LAMBDA_FUNCTION_NAME", "another");
  may_ask_ = false;
  EXPECT_EQ(memory_mb(), std::nullopt);
  EXPECT_EQ(deployed().architecture, "");
}

TEST_F(AwsPlatformTest, AFunctionThatIsNotThereIsNotFound) {
  status_ = 404;
  error_ = "ResourceNotFoundException";
  const Error error = start_fails(1);
  EXPECT_EQ(error.code(), Code::not_found);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("'workers'"), HasSubstr("lambdaml deploy")));
}

TEST_F(AwsPlatformTest, WithoutANameNothingIsStarted) {
  name_.clear();
  const Error error = start_fails(1);
  EXPECT_EQ(error.code(), Code::invalid_argument);
  EXPECT_THAT(error.what(), HasSubstr("--function"));
}

}  // namespace
}  // namespace lambdaml::faas
