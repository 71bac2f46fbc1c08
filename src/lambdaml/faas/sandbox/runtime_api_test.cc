// The states of the Runtime API, without sockets.
#include "lambdaml/faas/sandbox/runtime_api.h"

#include <gtest/gtest.h>

#include "lambdaml/faas/testing/recorded_exchange.h"

namespace lambdaml::faas::sandbox {
namespace {

class RuntimeApiStates : public ::testing::Test {
 protected:
  std::shared_ptr<RecordedExchange> send(const std::string& method, const std::string& path,
                                         const std::string& body = "") {
    auto exchange = RecordedExchange::of({method, "/2018-06-01/runtime/" + path, {}, body});
    api_.serve(exchange);
    return exchange;
  }
  std::shared_ptr<RecordedExchange> next() { return send("GET", "invocation/next"); }
  static Event event(const std::string& id) { return {id, "payload of " + id, 0, "arn", "trace"}; }

  std::vector<std::string> responses_;
  RuntimeApi api_{[this](const Result& result) {
    responses_.push_back(result.failure ? result.failure->type : result.response);
  }};
};

TEST_F(RuntimeApiStates, ASecondNextNeverTakesTheFirstOnesEvent) {
  const auto first = next(), second = next();
  EXPECT_FALSE(first->got);
  ASSERT_TRUE(second->got);
  EXPECT_EQ(second->got->status, 403);
  api_.offer(event("1"));
  ASSERT_TRUE(first->got);
  EXPECT_EQ(first->got->body, "payload of 1");
  EXPECT_EQ(next()->got->status, 403) << "while the event runs";
  EXPECT_EQ(send("POST", "invocation/1/response", "done")->got->status, 202);
  EXPECT_EQ(responses_, std::vector<std::string>{"done"});
}

TEST_F(RuntimeApiStates, ARuntimeThatLostItsConnectionAsksAgain) {
  const auto first = next();
  first->open = false;
  const auto second = next();
  EXPECT_FALSE(second->got);
  api_.offer(event("1"));
  EXPECT_FALSE(first->got);
  ASSERT_TRUE(second->got);
  EXPECT_EQ(second->got->body, "payload of 1");
}

TEST_F(RuntimeApiStates, AnEventWaitsForOneWhoIsThere) {
  const auto first = next();
  first->open = false;
  api_.offer(event("1"));
  EXPECT_FALSE(first->got);
  const auto second = next();
  ASSERT_TRUE(second->got);
  EXPECT_EQ(second->got->body, "payload of 1");
}

TEST_F(RuntimeApiStates, OnlyTheRunningEventIsAnswered) {
  EXPECT_EQ(send("POST", "invocation/1/response", "early")->got->status, 403);
  const auto first = next();
  api_.offer(event("1"));
  EXPECT_EQ(send("POST", "invocation/2/response", "false")->got->status, 400);
  EXPECT_EQ(send("POST", "invocation/2/error", "{}")->got->status, 400);
  EXPECT_EQ(send("POST", "invocation//response", "false")->got->status, 400);
  EXPECT_EQ(send("POST", "init/error", "{}")->got->status, 403);
  EXPECT_TRUE(responses_.empty());
  EXPECT_EQ(send("POST", "invocation/1/response", "done")->got->status, 202);
  EXPECT_EQ(send("POST", "invocation/1/response", "again")->got->status, 403);
  EXPECT_EQ(responses_, std::vector<std::string>{"done"});
}

}  // namespace
}  // namespace lambdaml::faas::sandbox
