#include <atomic>
#include <chrono>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/aws/testing/scripted_server.h"
#include "lambdaml/aws/testing/thrown_by.h"
#include "lambdaml/faas/http/http_event.h"
#include "lambdaml/faas/http/http_invocations.h"
#include "lambdaml/faas/testing/hostile.h"
#include "lambdaml/faas/testing/test_support.h"

namespace lambdaml::faas::http {
namespace {

using lambdaml::aws::ScriptedAnswer;
using lambdaml::aws::ScriptedRequest;
using lambdaml::aws::ScriptedServer;
using sandbox::HttpRequest;
using State = EventStatus::State;
using ::testing::HasSubstr;
using testing::HttpFunction;
using testing::RawConnection;

// ---- what a request holds ----

HttpRequest request(std::vector<std::pair<std::string, std::string>> headers, std::string body) {
  return {"POST", "/", std::move(headers), std::move(body)};
}

TEST(HttpEvents, ABodyIsAnEvent) {
  const Invocation event = invocation_of(request({}, "bytes \xff"), Form::plain);
  EXPECT_EQ(event.payload, "bytes \xff");
  EXPECT_EQ(event.request_id.size(), 36u);
  EXPECT_TRUE(event.deadline.is_never());
  EXPECT_TRUE(event.sender_waits);
}

TEST(HttpEvents, CloudEventsInBinaryMode) {
  const std::string soon = std::to_string(epoch_ms() + 60'000);
  const Invocation event = invocation_of(request({{"ce-specversion", "1.0"},
                                                  {"ce-id", "id-7"},
                                                  {"ce-source", "/here"},
                                                  {"ce-type", "any"},
                                                  {"ce-deadlinems", soon}},
                                                 R"({"a":1})"),
                                         Form::plain);
  EXPECT_EQ(event.request_id, "id-7");
  EXPECT_EQ(event.payload, R"({"a":1})");
  EXPECT_GT(event.deadline.seconds_left(), 30);
  EXPECT_LE(event.deadline.seconds_left(), 60);
}

TEST(HttpEvents, CloudEventsInStructuredMode) {
  const auto payload = [](const std::string& rest) {
    return invocation_of(
               request({{"Content-Type", "application/cloudevents+json; charset=utf-8"}},
                       R"({"specversion":"1.0","id":"x","source":"s","type":"t")" + rest + "}"),
               Form::plain)
        .payload;
  };
  EXPECT_EQ(payload(R"(,"data":{"a":[1,2]})"), R"({"a":[1,2]})");
  EXPECT_EQ(payload(R"(,"data":"text","datacontenttype":"text/plain")"), "text");
  EXPECT_EQ(payload(R"(,"data":"text")"), R"("text")");
  EXPECT_EQ(payload(R"(,"data_base64":"/wA=")"), std::string("\xff\0", 2));
  EXPECT_EQ(payload(""), "");
}

TEST(HttpEvents, ActivationsOfOpenWhisk) {
  const Invocation event = invocation_of(
      request({}, R"({"value":{"a":1},"activation_id":"act","deadline":"1"})"), Form::activation);
  EXPECT_EQ(event.request_id, "act");
  EXPECT_EQ(event.payload, R"({"a":1})");
  EXPECT_TRUE(event.deadline.passed());
  EXPECT_EQ(reply_of({"ended", {}}, Form::activation).body, R"({"response":"ended"})");
  EXPECT_EQ(reply_of({R"({"b":2})", {}}, Form::activation).body, R"({"b":2})");
  const auto failed = reply_of({"", Failure{"not_found", "no data"}}, Form::activation);
  EXPECT_EQ(failed.status, 502);
  EXPECT_THAT(failed.body, HasSubstr(R"("error":{"errorMessage":"no data")"));
}

TEST(HttpEvents, WhatIsNoEventIsRefusedInOneLine) {
  const auto why = [](HttpRequest bad, Form form = Form::plain) {
    const Error error = lambdaml::aws::thrown_by([&] { invocation_of(bad, form); });
    EXPECT_EQ(error.code(), Code::invalid_argument);
    return std::string(error.what());
  };
  EXPECT_EQ(why(request({{"ce-specversion", "1.0"}, {"ce-id", "x"}, {"ce-type", "t"}}, "")),
            "CloudEvent: it has no header ce-source");
  EXPECT_EQ(why(request({{"ce-specversion", "0.3"}}, "")),
            "CloudEvent: its specversion is '0.3', and 1.0 is understood");
  const auto structured = [&](const std::string& body) {
    return why(request({{"Content-Type", "application/cloudevents+json"}}, body));
  };
  EXPECT_EQ(structured("["), "CloudEvent: its body is no JSON object");
  EXPECT_EQ(structured(R"({"specversion":"1.0","id":"x","source":"s"})"),
            "CloudEvent: it has no attribute 'type'");
  EXPECT_EQ(structured(R"({"specversion":"1.0","id":"x","source":"s","type":"t",)"
                       R"("data_base64":"*"})"),
            "CloudEvent: its data_base64 is no base64");
  for (const std::string deadline : {"soon", "-1", "9223372036854775807", "1e300"})
    EXPECT_EQ(structured(R"({"specversion":"1.0","id":"x","source":"s","type":"t","deadlinems":")" +
                         deadline + "\"}"),
              "event: the deadline '" + deadline + "' is no number of milliseconds since 1970");
  EXPECT_THAT(why(request({{"Content-Type", "application/cloudevents-batch+json"}}, "[]")),
              HasSubstr("send one event for each request"));
  EXPECT_EQ(why(request({}, "{}"), Form::activation),
            "/run: the body is no JSON object with a 'value'");
}

// ---- the function's side ----

/// The head and body of the answer.
std::string answer(std::uint16_t port, const std::string& method, const std::string& path,
                   const std::string& body, const std::string& headers = "") {
  RawConnection connection(port, fmt::format("{} {} HTTP/1.1\r\nHost: worker.example.com\r\n"
                                             "Connection: close\r\n{}Content-Length: {}\r\n\r\n{}",
                                             method, path, headers, body.size(), body));
  return connection.receive(30);
}

TEST(HttpHost, ServesEventsOnAnyPathAndSaysWhatItIs) {
  const HttpFunction function(LAMBDAML_FAAS_TEST_FUNCTION);
  EXPECT_THAT(answer(function.port(), "GET", "/health", ""), HasSubstr("lambdaml-worker"));
  EXPECT_THAT(answer(function.port(), "POST", "/api/worker?x=1", "echo abc"),
              HasSubstr("\r\n\r\nabc"));
  EXPECT_THAT(answer(function.port(), "POST", "/", "throw not_found no"),
              HasSubstr("HTTP/1.1 422"));
  EXPECT_THAT(answer(function.port(), "POST", "/", "throw unavailable no"),
              HasSubstr("HTTP/1.1 500"));
  EXPECT_THAT(answer(function.port(), "PUT", "/", "x"), HasSubstr("HTTP/1.1 405"));
  EXPECT_THAT(answer(function.port(), "POST", "/", "{}", "ce-id: 1\r\n"),
              HasSubstr("HTTP/1.1 400"));
}

TEST(HttpHost, IsAnActionOfOpenWhisk) {
  const HttpFunction function(LAMBDAML_FAAS_TEST_FUNCTION);
  const std::string init = R"({"value":{"name":"f","main":"main","env":{"FROM_INIT":"yes"}}})";
  {
    const HttpFunction late(LAMBDAML_FAAS_TEST_FUNCTION);
    EXPECT_THAT(answer(late.port(), "POST", "/", "echo x"), HasSubstr("HTTP/1.1 200"));
    EXPECT_THAT(answer(late.port(), "POST", "/init", init), HasSubstr("HTTP/1.1 403"));
  }
  for (const char* broken : {"", "{", "\xff", "[1"})
    EXPECT_THAT(answer(function.port(), "POST", "/init", broken), HasSubstr("HTTP/1.1 400"));
  EXPECT_THAT(answer(function.port(), "POST", "/init", init), HasSubstr(R"({"ok":true})"));
  EXPECT_THAT(answer(function.port(), "POST", "/init", init), HasSubstr("HTTP/1.1 403"));
  EXPECT_THAT(answer(function.port(), "POST", "/run",
                     R"({"value":"variable FROM_INIT","activation_id":"a"})"),
              HasSubstr(R"({"response":"yes"})"));
}

TEST(HttpHost, ASecondEventIsForAnotherInstance) {
  const testing::TempFolder folder;
  const HttpFunction function(LAMBDAML_FAAS_TEST_FUNCTION);
  const std::string event = "rendezvous " + folder.path().string() + " 2";
  RawConnection first(function.port(),
                      fmt::format("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{}",
                                  event.size(), event));
  ASSERT_TRUE(testing::eventually([&] { return !std::filesystem::is_empty(folder.path()); }));
  EXPECT_THAT(answer(function.port(), "POST", "/", "echo x"), HasSubstr("HTTP/1.1 429"));
  std::ofstream(folder / "other") << "here";
  EXPECT_EQ(first.status(), "200");
}

TEST(HttpHost, WantsItsToken) {
  const HttpFunction function(LAMBDAML_FAAS_TEST_FUNCTION, {"LAMBDAML_HTTP_TOKEN=sesame"});
  EXPECT_THAT(answer(function.port(), "POST", "/", "echo x"), HasSubstr("HTTP/1.1 401"));
  EXPECT_THAT(answer(function.port(), "POST", "/", "echo x", "Authorization: Bearer sesam\r\n"),
              HasSubstr("HTTP/1.1 401"));
  const std::string large = "echo " + std::string(100'000, 'x');
  EXPECT_THAT(answer(function.port(), "POST", "/", large), HasSubstr("HTTP/1.1 413"));
  EXPECT_THAT(answer(function.port(), "POST", "/", large, "Authorization: Bearer sesame\r\n"),
              HasSubstr("HTTP/1.1 200"));
  EXPECT_THAT(answer(function.port(), "POST", "/", "echo x", "Authorization: Bearer sesame\r\n"),
              HasSubstr("HTTP/1.1 200"));
}

TEST(HttpHost, EndsAfterTheEventInProgress) {
  const testing::TempFolder folder;
  HttpFunction function(LAMBDAML_FAAS_TEST_FUNCTION);
  const std::string event = "rendezvous " + folder.path().string() + " 2";
  RawConnection connection(function.port(),
                           fmt::format("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{}",
                                       event.size(), event));
  ASSERT_TRUE(testing::eventually([&] { return !std::filesystem::is_empty(folder.path()); }));
  function.send(SIGTERM);
  std::ofstream(folder / "other") << "here";
  EXPECT_THAT(connection.receive(60), HasSubstr("\r\n\r\nmet"));
  EXPECT_EQ(function.wait(), 0);
}

TEST(HttpHost, EndsAtOnceWithoutAnEvent) {
  HttpFunction function(LAMBDAML_FAAS_TEST_FUNCTION);
  RawConnection idle(function.port());
  function.send(SIGTERM);
  EXPECT_EQ(function.wait(), 0);
}

// ---- the caller's side ----

std::vector<EventStatus> run_at(const std::string& url,
                                Function function = testing::test_function(),
                                const std::string& token = "") {
  const auto invocations = invoke_by_http(function, {urls_of(url), token}, {"echo x"}, {});
  if (!invocations->wait(60)) fail(Code::internal, "the event did not end in 60 s");
  return invocations->status();
}

EventStatus answered(ScriptedAnswer answer) {
  const ScriptedServer server([&](const ScriptedRequest&) { return answer; });
  return run_at(server.url())[0];
}

TEST(HttpPlatform, AnswersThatNoFunctionGives) {
  struct Case {
    int status;
    const char* type;
    const char* what;
  };
  for (const Case& one : {Case{202, "invalid_argument", "not a broker's"},
                          Case{401, "permission_denied", "--url-token-file"},
                          Case{404, "not_found", "no function is there"},
                          Case{413, "resource_exhausted", "no event of that size"},
                          Case{301, "invalid_argument", "--url must name the function itself"}}) {
    const EventStatus status = answered({.status = one.status, .body = "<html>\n"});
    EXPECT_EQ(status.state, State::failed);
    EXPECT_EQ(status.attempts, 1) << one.status;
    EXPECT_EQ(status.error_type, one.type);
    EXPECT_THAT(status.error_message, HasSubstr(one.what));
    EXPECT_THAT(status.error_message, ::testing::Not(HasSubstr("\n")));
  }
}

TEST(HttpPlatform, AnInstanceThatDiesIsReplaced) {
  std::atomic<int> seen{0};
  const ScriptedServer server([&](const ScriptedRequest& heard) -> ScriptedAnswer {
    EXPECT_EQ(heard.header("authorization"), "Bearer sesame");
    EXPECT_EQ(heard.header("ce-type"), "lambdaml.worker");
    switch (seen++) {
      case 0:
        return {.reset = true};
      case 1:
        return {.status = 502, .body = "upstream"};
      default:
        return {.body = "done"};
    }
  });
  const EventStatus status = run_at(server.url(), testing::test_function(), "sesame")[0];
  EXPECT_EQ(status.state, State::succeeded) << status.error_message;
  EXPECT_EQ(status.response, "done");
  EXPECT_EQ(status.attempts, 3);
}

TEST(HttpPlatform, WaitingForAnInstanceIsNoAttempt) {
  std::atomic<int> seen{0};
  const ScriptedServer server([&](const ScriptedRequest&) -> ScriptedAnswer {
    if (++seen <= 3) return {.status = seen == 1 ? 503 : 429};
    return {.body = "done"};
  });
  Function function = testing::test_function();
  function.retries = 0;
  const EventStatus status = run_at(server.url(), function)[0];
  EXPECT_EQ(status.state, State::succeeded) << status.error_message;
  EXPECT_EQ(status.attempts, 1);
}

TEST(HttpPlatform, AKilledFunctionsEventIsRepeated) {
  const testing::TempFolder folder;
  const testing::ReservedPort port;
  const auto start = [&] {
    return std::make_unique<HttpFunction>(LAMBDAML_FAAS_TEST_FUNCTION, std::vector<std::string>{},
                                          port.port());
  };
  auto function = start();
  Function settings = testing::test_function();
  // A second attempt may still find the port of the process that is ending.
  settings.retry_delay_s = 0.2;
  const auto invocations =
      invoke_by_http(settings, {{function->url()}, ""}, {"kill_first " + (folder / "state")}, {});
  ASSERT_EQ(function->wait(), 128 + SIGKILL);
  function = start();
  ASSERT_TRUE(invocations->wait(60));
  EXPECT_EQ(invocations->status()[0].response, "second") << invocations->status()[0].error_message;
  EXPECT_GE(invocations->status()[0].attempts, 2);
}

TEST(HttpPlatform, TheStorageTellsOfAWorkerThatGaveUp) {
  const ScriptedServer server([](const ScriptedRequest&) { return ScriptedAnswer{.body = "{}"}; });
  Function function = testing::test_function();
  function.query_status = [](std::span<const std::size_t> events) {
    std::vector<std::optional<EventStatus>> all(events.size());
    all[0].emplace().state = State::failed;
    all[0]->error_type = "diverged";
    return all;
  };
  const EventStatus status = run_at(server.url(), function)[0];
  EXPECT_EQ(status.state, State::failed);
  EXPECT_EQ(status.error_type, "diverged");
}

TEST(HttpPlatform, AnAnswerCountsOnceTheStorageHasBeenAsked) {
  const ScriptedServer server([](const ScriptedRequest&) { return ScriptedAnswer{.body = "{}"}; });
  std::atomic<int> asked{0};
  Function function = testing::test_function();
  function.query_status = [&](std::span<const std::size_t> events) {
    if (++asked == 1) fail(Code::unavailable, "a hiccup");
    return std::vector<std::optional<EventStatus>>(events.size());
  };
  EventStatus status = run_at(server.url(), function)[0];
  EXPECT_EQ(status.state, State::succeeded) << status.error_message;
  EXPECT_EQ(status.response, "{}");
  EXPECT_EQ(status.attempts, 1);
  EXPECT_EQ(asked, 2);

  function.query_status =
      [](std::span<const std::size_t>) -> std::vector<std::optional<EventStatus>> {
    fail(Code::permission_denied, "not yours");
  };
  status = run_at(server.url(), function)[0];
  EXPECT_EQ(status.state, State::failed);
  EXPECT_EQ(status.error_type, "permission_denied");
  EXPECT_THAT(status.error_message, HasSubstr("not yours"));
}

TEST(HttpPlatform, RefusesWhatIsNoAddress) {
  for (const char* bad : {"worker:8080", "http://", "http:///x", "ftp://host", "http://a,"}) {
    const Error error = lambdaml::aws::thrown_by([&] { urls_of(bad); });
    EXPECT_EQ(error.code(), Code::invalid_argument) << bad;
    EXPECT_THAT(error.what(), HasSubstr("--url")) << bad;
  }
  EXPECT_THAT(lambdaml::aws::thrown_by([] { urls_of("http://me:secret@host"); }).what(),
              ::testing::AllOf(HasSubstr("--url-token-file"), ::testing::Not(HasSubstr("secret"))));
  EXPECT_EQ(urls_of("http://a:1, https://b/x").size(), 2u);
  const Plugin& plugin = registry().get("http");
  EXPECT_THAT(lambdaml::aws::thrown_by([&] { plugin.check(Options(plugin.options)); }).what(),
              HasSubstr("give it with --url"));
}

}  // namespace
}  // namespace lambdaml::faas::http
