#include "lambdaml/aws/lambda/lambda_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/aws/lambda/lambda_json.h"
#include "lambdaml/aws/testing/scoped_environment.h"
#include "lambdaml/aws/testing/scripted_server.h"
#include "lambdaml/aws/testing/thrown_by.h"
#include "lambdaml/base/error.h"

namespace lambdaml::aws {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

ScriptedAnswer problem(int status, const std::string& type, const std::string& message,
                       const std::string& more = "") {
  return {.status = status,
          .headers = {{"X-Amzn-ErrorType", type}},
          .body = R"({"Type":"User","Message":")" + message + "\"" + more + "}"};
}
ScriptedAnswer accepted(const std::string& id = "id") {
  return {.status = 202, .headers = {{"x-amzn-RequestId", id}}};
}
ScriptedAnswer state(const std::string& state, const std::string& update,
                     const std::string& more = "") {
  return {.body = R"({"FunctionName":"f","State":")" + state + R"(","LastUpdateStatus":")" +
                  update + "\"" + more + "}"};
}

class LambdaClientTest : public ::testing::Test {
 protected:
  LambdaClient& on_script(Script script) {
    server_ = std::make_unique<ScriptedServer>(std::move(script));
    environment_.set("AWS_ENDPOINT_URL_LAMBDA", server_->url());
    client_ = std::make_unique<LambdaClient>(LambdaOptions{.first_pause_s = 0.01});
    return *client_;
  }
  std::size_t sent() const { return server_->requests().size(); }
  ScriptedRequest heard(std::size_t i) const { return server_->requests().at(i); }

  ScopedEnvironment environment_{ScopedEnvironment::with_keys()};
  std::unique_ptr<ScriptedServer> server_;
  std::unique_ptr<LambdaClient> client_;
};

TEST_F(LambdaClientTest, ASynchronousCallReturnsWhatTheFunctionReturned) {
  auto& client = on_script({{.headers = {{"X-Amz-Log-Result", "bG9nIGxpbmU="}}, .body = "[1]"}});
  const InvokeResult result =
      client.invoke("arn:aws:lambda:us-east-1:1:function:f", {.payload = "{}", .log_tail = true});
  EXPECT_EQ(result.payload, "[1]");
  EXPECT_EQ(result.log_tail, "log line");
  EXPECT_FALSE(result.failed);
  EXPECT_EQ(heard(0).target,
            "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A1%3Afunction%3Af/invocations");
  EXPECT_EQ(heard(0).header("x-amz-invocation-type"), "RequestResponse");
  EXPECT_EQ(heard(0).header("x-amz-log-type"), "Tail");
  EXPECT_THAT(heard(0).header("authorization"), HasSubstr("/us-east-1/lambda/aws4_request"));
}

TEST_F(LambdaClientTest, AnswersHaveAnEnd) {
  const std::string deep = R"({"FunctionName":)" + std::string(142'000, '[');
  for (const std::string& body : {deep, std::string((8U << 20U) + 1, ' ')}) {
    auto& client = on_script({{.body = body}});
    EXPECT_EQ(thrown_by([&] { client.get_function("f"); }).code(), Code::data_corrupt);
    EXPECT_EQ(thrown_by([&] { client.list_functions(); }).code(), Code::data_corrupt);
  }
}

TEST_F(LambdaClientTest, AFailedFunctionIsNoErrorOfTheCall) {
  auto& client =
      on_script({{.headers = {{"X-Amz-Function-Error", "Unhandled"}},
                  .body = R"({"errorType":"Runtime.ExitError","errorMessage":"exit\nstatus 1"})"}});
  const InvokeResult result = client.invoke("f", {});
  EXPECT_TRUE(result.failed);
  EXPECT_EQ(result.error_type, "Runtime.ExitError");
  EXPECT_THAT(result.error_message, Not(HasSubstr("\n")));
}

TEST_F(LambdaClientTest, WhatMayHaveBeenTakenIsNotSentAgain) {
  auto& cut = on_script({{.reset = true}});
  EXPECT_EQ(thrown_by([&] { cut.invoke("f", {}); }).code(), Code::unavailable);
  EXPECT_EQ(sent(), 1u);
  auto& broken = on_script({problem(500, "ServiceException", "no")});
  EXPECT_EQ(thrown_by([&] { broken.invoke("f", {}); }).code(), Code::unavailable);
  EXPECT_EQ(sent(), 1u);
}

TEST_F(LambdaClientTest, WhatAServiceDoesNotSupportIsFinal) {
  for (const bool marked : {true, false}) {
    ScriptedAnswer refusal = problem(501, "NotImplemented", "no");
    refusal.marked = marked;
    auto& client = on_script({refusal});
    EXPECT_EQ(thrown_by([&] { client.invoke("f", {.mode = InvokeRequest::Mode::event}); }).code(),
              Code::invalid_argument);
    EXPECT_EQ(sent(), 1u);
  }
}

TEST_F(LambdaClientTest, AnEventIsSentAgainAfterACut) {
  auto& client = on_script({{.reset = true}, accepted("second")});
  EXPECT_EQ(client.invoke("f", {.mode = InvokeRequest::Mode::event}).request_id, "second");
}

TEST_F(LambdaClientTest, ThrottlingIsWaitedOutAsLongAsTheServiceAsks) {
  auto& client = on_script(
      {problem(429, "TooManyRequestsException", "Rate Exceeded.", R"(,"retryAfterSeconds":"0.2")"),
       {.body = "1"}});
  const Stopwatch watch;
  EXPECT_EQ(client.invoke("f", {}).payload, "1");
  EXPECT_GE(watch.seconds(), 0.2);
}

TEST_F(LambdaClientTest, ThrottlingToTheDeadlineIsResourceExhausted) {
  auto& client = on_script({problem(429, "TooManyRequestsException", "Rate Exceeded.")});
  const Error error = thrown_by([&] { client.invoke("f", {}, Deadline::in(0.1)); });
  EXPECT_EQ(error.code(), Code::resource_exhausted);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("Invoke of the function 'f'"),
                                  HasSubstr("Rate Exceeded"), Not(HasSubstr("\n"))));
}

TEST_F(LambdaClientTest, ErrorsBecomeTheProjectsOwn) {
  const struct {
    int status;
    const char* type;
    Code code;
  } cases[] = {{404, "ResourceNotFoundException", Code::not_found},
               {413, "RequestTooLargeException", Code::invalid_argument},
               {400, "InvalidParameterValueException", Code::invalid_argument},
               {403, "AccessDeniedException", Code::permission_denied},
               {403, "ExpiredTokenException", Code::permission_denied},
               {404, "", Code::data_corrupt}};
  for (const auto& [status, type, code] : cases) {
    auto& client = on_script({problem(status, type, "because")});
    const Error error = thrown_by([&] { client.get_function("f"); });
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_THAT(error.what(), AllOf(HasSubstr("GetFunction of the function 'f'"),
                                    HasSubstr("because"), HasSubstr(server_->url())));
  }
}

TEST_F(LambdaClientTest, ManyEventsGoInParallelAndTheThrottledOnesAgain) {
  int calls = 0;
  server_ = std::make_unique<ScriptedServer>([&](const ScriptedRequest& request) {
    if (++calls % 3 == 0) return problem(429, "TooManyRequestsException", "slower");
    ScriptedAnswer answer = accepted(request.body);
    answer.delay_s = 0.02;
    return answer;
  });
  environment_.set("AWS_ENDPOINT_URL_LAMBDA", server_->url());
  LambdaClient client({.first_pause_s = 0.01});
  std::vector<std::string> payloads;
  for (int i = 0; i < 20; ++i) payloads.push_back(std::to_string(i));
  EXPECT_EQ(client.invoke_all_events("f", payloads), payloads);
  EXPECT_GT(server_->most_at_once(), 4);
  EXPECT_EQ(heard(0).header("x-amz-invocation-type"), "Event");
}

TEST_F(LambdaClientTest, ATooLargeEventIsRefusedBeforeAnythingIsSent) {
  auto& client = on_script({accepted()});
  const std::vector<std::string> payloads = {"{}", std::string(kMaxEventBytes + 1, '1')};
  const Error error = thrown_by([&] { client.invoke_all_events("f", payloads); });
  EXPECT_EQ(error.code(), Code::invalid_argument);
  EXPECT_THAT(error.what(), HasSubstr("1,048,577"));
  EXPECT_EQ(sent(), 0u);
}

TEST_F(LambdaClientTest, AnUpdateUnderWayIsWaitedFor) {
  auto& client = on_script({problem(409, "ResourceConflictException", "An update is in progress"),
                            state("Active", "InProgress")});
  EXPECT_EQ(client.update_settings("f", {.memory_mb = 512}).update, "InProgress");
  EXPECT_EQ(heard(1).method, "PUT");
  EXPECT_EQ(heard(1).target, "/2015-03-31/functions/f/configuration");
  EXPECT_EQ(heard(1).body, R"({"MemorySize":512})");
}

TEST_F(LambdaClientTest, WhatExistsIsNotCreated) {
  auto& client =
      on_script({problem(409, "ResourceConflictException", "Function already exist: f")});
  EXPECT_EQ(thrown_by([&] { client.create_function("f", {}, {.image_uri = "i"}, {}); }).code(),
            Code::already_exists);
  EXPECT_EQ(sent(), 1u);
}

TEST_F(LambdaClientTest, CreatingSaysAllThatIsSet) {
  auto& client = on_script({{.status = 201, .body = R"({"FunctionName":"f"})"}});
  FunctionSettings settings;
  settings.role = "r";
  settings.handler = "worker";
  settings.ephemeral_mb = 600;
  settings.environment.emplace()["A"] = "b";
  settings.subnets.emplace(1, "s");
  settings.file_systems.emplace(1, "arn:a=/mnt/b");
  client.create_function("f", settings, {.zip = as_bytes("zip"), .architecture = "arm64"},
                         {{"t", "1"}});
  EXPECT_EQ(heard(0).target, "/2015-03-31/functions");
  EXPECT_EQ(heard(0).body,
            R"({"Architectures":["arm64"],"Code":{"ZipFile":"emlw"},"Environment":{"Variables":)"
            R"({"A":"b"}},"EphemeralStorage":{"Size":600},"FileSystemConfigs":[)"
            R"({"Arn":"arn:a","LocalMountPath":"/mnt/b"}],"FunctionName":"f","Handler":"worker",)"
            R"("PackageType":"Zip","Role":"r","Runtime":"provided.al2023","Tags":{"t":"1"},)"
            R"("VpcConfig":{"SecurityGroupIds":[],"SubnetIds":["s"]}})");
}

TEST_F(LambdaClientTest, WaitsUntilTheFunctionIsActive) {
  auto& client = on_script({state("Pending", "InProgress"), state("Active", "InProgress"),
                            state("Active", "Successful")});
  EXPECT_EQ(client.wait_until_active("f", Deadline::in(20)).state, "Active");
  EXPECT_EQ(sent(), 3u);
  auto& failed =
      on_script({state("Failed", "", R"(,"StateReason":"no image","StateReasonCode":"X")")});
  const Error error = thrown_by([&] { failed.wait_until_active("f", Deadline::in(20)); });
  EXPECT_THAT(error.what(), HasSubstr("X: no image"));
  auto& slow = on_script({state("Pending", "", R"(,"StateReason":"being made")")});
  const Error late = thrown_by([&] { slow.wait_until_active("f", Deadline::in(0.15)); });
  EXPECT_EQ(late.code(), Code::deadline_exceeded);
  EXPECT_THAT(late.what(), HasSubstr("being made"));
}

TEST_F(LambdaClientTest, ListingGoesOnOverItsPages) {
  auto& client = on_script({{.body = R"({"Functions":[{"FunctionName":"a"}],"NextMarker":"m/"})"},
                            {.body = R"({"Functions":[{"FunctionName":"b"}],"NextMarker":null})"}});
  const auto functions = client.list_functions();
  ASSERT_EQ(functions.size(), 2u);
  EXPECT_EQ(functions[1].name, "b");
  EXPECT_THAT(heard(1).target, HasSubstr("Marker=m%2F"));
}

TEST_F(LambdaClientTest, ConcurrencyAndEventConfig) {
  EXPECT_EQ(on_script({{.body = "{}"}}).get_concurrency("f"), std::nullopt);
  EXPECT_EQ(heard(0).target, "/2019-09-30/functions/f/concurrency");
  EXPECT_EQ(on_script({{.body = R"({"ReservedConcurrentExecutions":7})"}}).get_concurrency("f"), 7);
  auto& account = on_script(
      {{.body =
            R"({"AccountLimit":{"ConcurrentExecutions":10,"UnreservedConcurrentExecutions":9}})"}});
  EXPECT_EQ(account.account_settings().unreserved_concurrency, 9);
  EXPECT_EQ(heard(0).target, "/2016-08-19/account-settings/");
  EXPECT_EQ(on_script({problem(404, "ResourceNotFoundException", "")}).get_event_config("f"),
            EventInvokeConfig());
  on_script({{.body = "{}"}}).put_event_config("f", {.retries = 0, .max_age_s = 60});
  EXPECT_EQ(heard(0).body, R"({"MaximumEventAgeInSeconds":60,"MaximumRetryAttempts":0})");
  on_script({{.status = 204}}).tag("arn:x", {{"k", "v"}});
  EXPECT_EQ(heard(0).target, "/2017-03-31/tags/arn%3Ax");
}

TEST(LambdaJson, Digest) {
  // SHA-256 of "abc": FIPS 180-2, appendix B.1.
  EXPECT_EQ(code_sha256(as_bytes("abc")), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
}

}  // namespace
}  // namespace lambdaml::aws
