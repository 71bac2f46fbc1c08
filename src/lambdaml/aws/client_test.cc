#include "lambdaml/aws/client.h"

#include <atomic>
#include <csignal>
#include <thread>

#include <gmock/gmock.h>
#include <unistd.h>

#include "lambdaml/aws/testing/scoped_environment.h"
#include "lambdaml/aws/testing/scripted_server.h"
#include "lambdaml/aws/testing/thrown_by.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/wait.h"

namespace lambdaml::aws {
namespace {

using testing::AllOf;
using testing::Ge;
using testing::HasSubstr;
using testing::Le;
using testing::Not;
using testing::SizeIs;

class AwsClient : public testing::Test {
 protected:
  /// Quick to try again.
  static ClientOptions options(const ScriptedServer& server) {
    ClientOptions out;
    out.service = "s3";
    out.endpoint = server.url();
    out.first_pause_s = 0.001;
    out.longest_pause_s = 0.002;
    out.connect_timeout_s = 20;
    return out;
  }

  ScopedEnvironment environment_{ScopedEnvironment::with_keys()};
};

TEST_F(AwsClient, SendsWhatIsAskedSigned) {
  ScriptedServer server(
      Script{{.status = 404, .headers = {{"X-Some", " thing "}}, .body = "not here"}});
  Client client(options(server));
  const std::string body = "the body";
  const Response response = client.call({.method = "PUT",
                                         .path = "/a%20b//c",
                                         .query = {{"z", "1 2"}, {"a", ""}},
                                         .headers = {{"x-amz-meta-a", "b"}},
                                         .body = as_bytes(body)},
                                        "save");
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.header("x-some"), "thing");
  EXPECT_EQ(response.body.text(), "not here");
  EXPECT_EQ(response.tries, 1);
  ASSERT_THAT(server.requests(), SizeIs(1));
  const ScriptedRequest heard = server.requests()[0];
  EXPECT_EQ(heard.method, "PUT");
  EXPECT_EQ(heard.target, "/a%20b//c?a=&z=1%202");
  EXPECT_EQ(heard.body, body);
  EXPECT_EQ(heard.header("host"), server.url().substr(7));
  EXPECT_EQ(heard.header("expect"), "");
  EXPECT_THAT(heard.header("authorization"),
              AllOf(HasSubstr("Credential=AKIDEXAMPLE/"), HasSubstr("/us-east-1/s3/aws4_request"),
                    HasSubstr("SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-meta-a,")));
  EXPECT_EQ(client.sent(), 1U);
}

TEST_F(AwsClient, EveryMethodAndSizeArrives) {
  ScriptedServer server([](const ScriptedRequest& heard) {
    return ScriptedAnswer{.body =
                              heard.method == "GET" ? "got" : std::to_string(heard.body.size())};
  });
  Client client(options(server));
  for (const std::size_t n : {0U, 1U, 65'000U, 65'537U, 3'000'000U, 0U}) {
    const std::string body(n, 'x');
    for (const char* method : {"PUT", "POST"})
      EXPECT_EQ(client.call({.method = method, .body = as_bytes(body)}, "send").body.text(),
                std::to_string(n));
    EXPECT_EQ(client.call({}, "get").body.text(), "got");
    EXPECT_EQ(client.call({.method = "HEAD"}, "look").body.size(), 0U);
    EXPECT_EQ(client.call({.method = "DELETE"}, "remove").body.text(), "0");
  }
  for (const ScriptedRequest& heard : server.requests()) EXPECT_EQ(heard.connection, 0);
}

TEST_F(AwsClient, WhatPassesIsTriedAgain) {
  ScriptedServer server(Script{{.status = 503, .body = "slow down"},
                               {.status = 500},
                               {.status = 429},
                               {.reset = true},
                               {.body = "half an answer", .cut_after = 4},
                               {.body = "whole"}});
  int counted = 0;
  ClientOptions how = options(server);
  how.on_sent = [&](const Request&) { ++counted; };
  Client client(how);
  const Response response = client.call({}, "get");
  EXPECT_EQ(response.body.text(), "whole");
  EXPECT_EQ(response.tries, 6);
  EXPECT_EQ(client.sent(), 6U);
  EXPECT_EQ(counted, 6);
}

TEST_F(AwsClient, InTheEndItSaysWhereAndWhy) {
  ScriptedServer server(Script{{.status = 503}});
  const Error error =
      thrown_by([&] { Client(options(server)).call({}, "loading 'key' from the bucket"); });
  EXPECT_EQ(error.code(), Code::unavailable);
  EXPECT_EQ(std::string(error.what()),
            server.url() + ": loading 'key' from the bucket: HTTP 503 (6 attempts)");
  EXPECT_THAT(server.requests(), SizeIs(6));
}

TEST_F(AwsClient, NobodyListensIsUnavailable) {
  int port = 0;
  {
    const ScriptedServer server(Script{});
    port = server.port();
  }
  ClientOptions how{.service = "s3", .endpoint = fmt::format("http://127.0.0.1:{}", port)};
  how.first_pause_s = 0.001;
  const Error error = thrown_by([&] { Client(how).call({}, "get"); });
  EXPECT_EQ(error.code(), Code::unavailable);
  EXPECT_THAT(error.what(), HasSubstr(how.endpoint));
}

TEST_F(AwsClient, AKeptConnectionThatDiedIsReplaced) {
  ScriptedServer server(
      Script{{.body = "1", .close_after = true},
             {.body = "2"},
             {.reset = true},  // as a server does that has forgotten the connection
             {.body = "3"}});
  ClientOptions how = options(server);
  how.attempts = 1;
  Client client(how);
  EXPECT_EQ(client.call({}, "get").body.text(), "1");
  EXPECT_EQ(client.call({}, "get").body.text(), "2");
  const Response third = client.call({}, "get");
  EXPECT_EQ(third.body.text(), "3");
  EXPECT_EQ(third.tries, 2) << "the request was sent twice and counted once";
  // The second may have left before the news that the first connection was closed.
  EXPECT_THAT(client.sent(), AllOf(Ge(4U), Le(5U)));
}

std::shared_ptr<Patience> patience_of(double outage_s) {
  return std::make_shared<Patience>(
      PatiencePolicy{.outage_s = outage_s, .first_contact_s = outage_s, .has_answered = true});
}

TEST_F(AwsClient, SilenceAndDripsEnd) {
  ClientOptions how;
  {
    ScriptedServer server(Script{{.delay_s = 60}, {.body = "late but there", .delay_s = 0.05}});
    how = options(server);
    how.patience = patience_of(2);
    EXPECT_EQ(Client(how).call({}, "get").body.text(), "late but there");
  }
  {
    ScriptedServer server(Script{{.delay_s = 60}});
    how.endpoint = server.url();
    how.patience = patience_of(1);
    const Stopwatch clock;
    const Error error = thrown_by([&] { Client(how).call({}, "get"); });
    EXPECT_EQ(error.code(), Code::unavailable);
    EXPECT_THAT(error.what(), HasSubstr("no answer for"));
    EXPECT_GE(clock.seconds(), 0.9);
    EXPECT_LT(clock.seconds(), 1.5) << "two tries share one time";
  }
  ScriptedServer server(Script{{.body = std::string(10'000, 'x'), .drip_s = 0.01}});
  how.endpoint = server.url();
  how.patience = patience_of(1);
  const Stopwatch clock;
  const Error error = thrown_by([&] { Client(how).call({}, "get"); });
  EXPECT_EQ(error.code(), Code::unavailable);
  EXPECT_THAT(error.what(), HasSubstr("too slow"));
  EXPECT_GE(clock.seconds(), 0.9);
  EXPECT_LT(clock.seconds(), 5) << "the whole drip takes 100 s";
}

TEST_F(AwsClient, WhatMovesFastEnoughIsWaitedFor) {
  // Some 400 bytes a second, for longer than the patience lasts.
  ScriptedServer server(Script{{.body = std::string(600, 'x'), .drip_s = 0.002}});
  ClientOptions how = options(server);
  how.patience = std::make_shared<Patience>(
      PatiencePolicy{.outage_s = 0.5, .first_contact_s = 0.5, .slowest_bytes_per_s = 60});
  const Stopwatch clock;
  EXPECT_EQ(Client(how).call({}, "get").body.size(), 600U);
  EXPECT_GT(clock.seconds(), 1) << "it took as long as it was meant to";
}

TEST_F(AwsClient, AnInterruptEndsItAtOnce) {
  ScriptedServer server(Script{{.delay_s = 60}});
  Client client(options(server));
  catch_interrupts();
  std::thread user([] {
    pause_for(0.1);
    ::kill(::getpid(), SIGINT);
  });
  const Stopwatch clock;
  const Error error = thrown_by([&] { client.call({}, "get"); });
  user.join();
  EXPECT_EQ(error.code(), Code::cancelled);
  EXPECT_LT(clock.seconds(), 1);
  catch_interrupts();
}

TEST_F(AwsClient, AConnectionClosedWithinTheHeadIsLost) {
  const std::string body = "whole";
  // After each byte of a head of some 100.
  std::size_t cut = 0;
  ScriptedServer server([&](const ScriptedRequest&) -> ScriptedAnswer {
    if (cut == 0) return {.body = body};
    return {.body = body, .close_within = std::exchange(cut, 0)};
  });
  ClientOptions how = options(server);
  how.attempts = 2;
  Client client(how);
  EXPECT_EQ(client.call({}, "get").body.text(), body);
  for (std::size_t at = 1; at < 80; ++at) {
    cut = at;
    const Response response = client.call({}, "get");
    EXPECT_EQ(response.body.text(), body) << at;
    EXPECT_EQ(cut, 0U);
  }
}

TEST_F(AwsClient, TheDeadlineEndsEverything) {
  ScriptedServer server(Script{{.delay_s = 60}});
  Client client(options(server));
  const Stopwatch clock;
  const std::vector<Request> three(3);
  const Error error = thrown_by([&] { client.call_all(three, "get", Deadline::in(1)); });
  EXPECT_EQ(error.code(), Code::deadline_exceeded);
  EXPECT_LT(clock.seconds(), 10);
  EXPECT_THAT(server.requests(), SizeIs(3));
  EXPECT_EQ(thrown_by([&] { client.call({}, "get", Deadline::in(0)); }).code(),
            Code::deadline_exceeded);
  EXPECT_THAT(server.requests(), SizeIs(3)) << "sent after the deadline";
}

TEST_F(AwsClient, AnAnswerThatHasBegunIsReadToItsEnd) {
  ScriptedServer server(Script{{.body = std::string(300, 'x'), .drip_s = 0.005}});
  EXPECT_EQ(Client(options(server)).call({}, "get", Deadline::in(1)).body.size(), 300U);
}

TEST_F(AwsClient, SeveralAtOnceButNotTooMany) {
  ScriptedServer server([](const ScriptedRequest& heard) {
    return ScriptedAnswer{.body = heard.target, .delay_s = 0.02};
  });
  ClientOptions how = options(server);
  how.in_flight = 4;
  Client client(how);
  std::vector<Request> requests(20);
  for (std::size_t i = 0; i < requests.size(); ++i) requests[i].path = fmt::format("/{}", i);
  const std::vector<Response> responses = client.call_all(requests, "get");
  for (std::size_t i = 0; i < requests.size(); ++i)
    EXPECT_EQ(responses[i].body.text(), requests[i].path);
  EXPECT_EQ(server.most_at_once(), 4);
  EXPECT_TRUE(client.call_all({}, "get").empty());
}

TEST_F(AwsClient, AFailureComesAfterAllOthersHaveEnded) {
  ScriptedServer server([](const ScriptedRequest& heard) {
    return heard.target == "/1" ? ScriptedAnswer{.status = 500} : ScriptedAnswer{.delay_s = 0.05};
  });
  Client client(options(server));
  std::vector<Request> requests(4);
  for (std::size_t i = 0; i < requests.size(); ++i) requests[i].path = fmt::format("/{}", i);
  EXPECT_EQ(thrown_by([&] { client.call_all(requests, "get"); }).code(), Code::unavailable);
  EXPECT_THAT(server.requests(), SizeIs(3 + 6));
}

TEST_F(AwsClient, AnAnswerGoesWhereItIsWanted) {
  ScriptedServer server([](const ScriptedRequest& heard) {
    if (heard.target == "/error") return ScriptedAnswer{.status = 404, .body = "a long error text"};
    return ScriptedAnswer{.status = 206, .body = "0123456789"};
  });
  Client client(options(server));
  Buffer place(10);
  Request request;
  request.into = {place.data(), place.size()};
  EXPECT_EQ(client.call(request, "get").body.size(), 0U);
  EXPECT_EQ(place.text(), "0123456789");
  request.path = "/error";
  EXPECT_EQ(client.call(request, "get").body.text(), "a long error text");
  request.path = "/";
  for (const std::size_t n : {9U, 11U}) {
    Buffer other(n);
    request.into = {other.data(), n};
    EXPECT_EQ(thrown_by([&] { client.call(request, "get"); }).code(), Code::data_corrupt) << n;
  }
}

TEST_F(AwsClient, AnAnswerHasAsMuchAsItMayHave) {
  ScriptedAnswer answer;
  ScriptedServer server([&](const ScriptedRequest&) { return answer; });
  Client client(options(server));
  const auto failure = [&] { return thrown_by([&] { client.call({.most_bytes = 1000}, "get"); }); };
  answer.body = std::string(1000, 'x');
  EXPECT_EQ(client.call({.most_bytes = 1000}, "get").body.size(), 1000U);
  answer.body += 'x';
  EXPECT_EQ(failure().code(), Code::data_corrupt);
  EXPECT_THAT(failure().what(), HasSubstr("longer than the 1000 bytes"));
  // Told before it is sent, and never told: a stream of chunks that has no end.
  answer = {.headers = {{"content-length", "9000000000000"}}, .body = "x"};
  EXPECT_EQ(failure().code(), Code::data_corrupt);
  std::string chunks;
  for (int i = 0; i < 3000; ++i) chunks += "400\r\n" + std::string(1024, 'x') + "\r\n";
  answer = {.headers = {{"transfer-encoding", "chunked"}}, .body = chunks};
  EXPECT_EQ(failure().code(), Code::data_corrupt);
  // What is no success has a limit of its own, and may pass.
  answer.status = 503;
  EXPECT_EQ(failure().code(), Code::unavailable);
  EXPECT_THAT(failure().what(), HasSubstr("longer than the 1048576 bytes"));
  answer = {.status = 404, .body = std::string(2000, 'x')};
  EXPECT_EQ(client.call({.most_bytes = 1000}, "get").body.size(), 2000U);
}

TEST_F(AwsClient, HeadersHaveAnEnd) {
  ScriptedAnswer answer;
  ScriptedServer server([&](const ScriptedRequest&) { return answer; });
  Client client(options(server));
  for (int i = 0; i < 100; ++i)
    answer.headers.emplace_back("x-" + std::to_string(i), std::string(2000, 'x'));
  EXPECT_EQ(client.call({}, "get").status, 200);
  for (auto& [name, value] : answer.headers) value += value;
  EXPECT_THAT(thrown_by([&] { client.call({}, "get"); }).what(), HasSubstr("more headers than"));
  answer.headers.clear();
  for (int i = 0; i < 300; ++i) answer.headers.emplace_back("x-" + std::to_string(i), "x");
  EXPECT_THAT(thrown_by([&] { client.call({}, "get"); }).what(), HasSubstr("more headers than"));
}

TEST_F(AwsClient, AClockThatIsOffIsSetOnce) {
  ScriptedServer server(
      Script{{.status = 403, .headers = {{"Date", "Fri, 24 May 2013 00:00:00 GMT"}}},
             {.body = "welcome"}});
  ClientOptions how = options(server);
  how.judge = [](const Response& response) {
    return response.status == 403 ? Verdict::clock : Verdict::answer;
  };
  Client client(how);
  EXPECT_EQ(client.call({}, "get").body.text(), "welcome");
  EXPECT_EQ(client.call({}, "get").body.text(), "welcome");
  const auto heard = server.requests();
  ASSERT_THAT(heard, SizeIs(3));
  EXPECT_THAT(heard[0].header("x-amz-date"), Not(HasSubstr("20130524T")));
  EXPECT_THAT(heard[1].header("x-amz-date"), HasSubstr("20130524T0000"));
  EXPECT_THAT(heard[2].header("x-amz-date"), HasSubstr("20130524T0000"));
}

TEST_F(AwsClient, AClockThatCannotBeSetIsTheAnswer) {
  for (const char* date : {"some day", "", "Fri, 24 May 9013 00:00:00 GMT"}) {
    ScriptedServer server(Script{{.status = 403, .headers = {{"Date", date}}}});
    ClientOptions how = options(server);
    how.judge = [](const Response&) { return Verdict::clock; };
    EXPECT_EQ(Client(how).call({}, "get").status, 403);
    EXPECT_THAT(server.requests(), SizeIs(1)) << date;
  }
}

TEST_F(AwsClient, ExpiredCredentialsAreRenewedOnce) {
  ScriptedServer server([&](const ScriptedRequest& heard) {
    // The environment's keys change while the process runs, as a test's may.
    environment_.set("AWS_ACCESS_KEY_ID", "AKIDFRESH");
    return ScriptedAnswer{
        .status = heard.header("authorization").find("AKIDFRESH") == std::string::npos ? 400 : 200};
  });
  ClientOptions how = options(server);
  how.judge = [](const Response& response) {
    return response.status == 400 ? Verdict::credentials : Verdict::answer;
  };
  Client client(how);
  EXPECT_EQ(client.call({}, "get").status, 200);
  EXPECT_THAT(server.requests(), SizeIs(2));
}

TEST_F(AwsClient, WithoutFreshCredentialsExpiryIsTheAnswer) {
  ScriptedServer server(Script{{.status = 400}});
  ClientOptions how = options(server);
  how.judge = [](const Response&) { return Verdict::credentials; };
  EXPECT_EQ(Client(how).call({}, "get").status, 400);
  EXPECT_THAT(server.requests(), SizeIs(1));
}

TEST_F(AwsClient, WithoutCredentialsNothingIsSent) {
  ScriptedServer server(Script{});
  environment_.unset("AWS_ACCESS_KEY_ID");
  Client client(options(server));
  const Error error = thrown_by([&] { client.call({}, "get"); });
  EXPECT_EQ(error.code(), Code::permission_denied);
  EXPECT_THAT(error.what(), HasSubstr("AWS_ACCESS_KEY_ID"));
  EXPECT_THAT(server.requests(), SizeIs(0));
}

TEST_F(AwsClient, ManyThreadsShareIt) {
  ScriptedServer server(
      [](const ScriptedRequest& heard) { return ScriptedAnswer{.body = heard.target}; });
  Client client(options(server));
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const std::string path = fmt::format("/{}/{}", t, i);
        if (client.call({.path = path}, "get").body.text() == path) ++right;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 200);
  EXPECT_EQ(client.sent(), 200U);
}

TEST_F(AwsClient, HeadersCannotBeSmuggledIn) {
  ScriptedServer server(Script{});
  Client client(options(server));
  const Error error = thrown_by([&] {
    client.call({.headers = {{"x-amz-meta-a", "1\r\nx-evil: 2"}}}, "put");
  });
  EXPECT_EQ(error.code(), Code::invalid_argument);
  EXPECT_THAT(server.requests(), SizeIs(0));
}

}  // namespace
}  // namespace lambdaml::aws
