// Who may use the service API, without sockets.
#include "lambdaml/faas/emulator/service_api.h"

#include <chrono>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/faas/testing/recorded_exchange.h"

namespace lambdaml::faas::emulator {
namespace {

using std::chrono::minutes;
using std::chrono::system_clock;
using ::testing::HasSubstr;

const aws::Credentials kServiceKeys{"AKIAIOSFODNN7EXAMPLE", "secret", ""};

class ServiceApiKeys : public ::testing::Test {
 protected:
  static sandbox::HttpRequest request(const std::string& method, const std::string& target,
                                      const std::string& body = "") {
    return {method, target, {{"Host", "127.0.0.1:9001"}}, body};
  }
  static sandbox::HttpRequest sign(sandbox::HttpRequest request,
                                   const aws::Credentials& keys = kServiceKeys,
                                   WallTime now = wall_now()) {
    aws::Headers headers;
    for (const auto& [name, value] : request.headers)
      headers.emplace_back(name == "Host" ? "host" : name, value);
    const std::size_t mark = request.target.find('?');
    const std::string query = mark == std::string::npos ? "" : request.target.substr(mark + 1);
    const std::string path = request.target.substr(0, mark), method = request.method;
    const std::string hash = aws::sha256_hex(as_bytes(request.body));
    for (auto& added :
         aws::Signer("lambda", "us-east-1").sign({method, path, query, headers, hash}, keys, now))
      request.headers.push_back(std::move(added));
    return request;
  }
  /// The status and, for a refusal, its type; the body is asked for only when the head is admitted.
  std::string answer_to(const sandbox::HttpRequest& request, ServiceApi& api) {
    sandbox::HttpRequest head = request;
    head.body.clear();
    sandbox::HttpReply reply;
    if (const auto admission = api.admit(head); admission.refusal) {
      reply = *admission.refusal;
    } else {
      const auto exchange = sandbox::RecordedExchange::of(request);
      api.serve(exchange);
      loop_.poll();
      if (!exchange->got) return "no reply";
      reply = *exchange->got;
    }
    std::string out = std::to_string(reply.status);
    for (const auto& [name, value] : reply.headers)
      if (name == "X-Amzn-ErrorType") out += " " + value;
    said_ = reply.body;
    return out;
  }
  std::string answer_to(const sandbox::HttpRequest& request) { return answer_to(request, api_); }

  boost::asio::io_context loop_{1};
  LambdaService service_{loop_, {}};
  ServiceApi api_{service_, {kServiceKeys}};
  std::string said_;
};

const std::string kList = "/2015-03-31/functions?MaxItems=5";

TEST_F(ServiceApiKeys, WhatIsSignedIsServed) {
  EXPECT_EQ(answer_to(sign(request("GET", kList))), "200");
  EXPECT_EQ(said_, "{\"Functions\":[]}");
  EXPECT_EQ(answer_to(sign(request("POST", "/2015-03-31/functions", "{}"))),
            "400 SerializationException");
  EXPECT_EQ(answer_to(sign(request("GET", "/2015-03-31/functions/f%3A1"))),
            "404 ResourceNotFoundException");
}

TEST_F(ServiceApiKeys, WhatIsNotIsRefused) {
  EXPECT_EQ(answer_to(request("GET", kList)), "403 MissingAuthenticationTokenException");
  EXPECT_THAT(said_, HasSubstr("lambdaml emulate")) << "it says where the keys are";
  EXPECT_EQ(answer_to(request("POST", "/2015-03-31/functions", "{}")),
            "403 MissingAuthenticationTokenException");
  EXPECT_EQ(answer_to(sign(request("GET", kList), {"other", "secret", ""})),
            "403 UnrecognizedClientException");
  EXPECT_EQ(answer_to(sign(request("GET", kList), {kServiceKeys.access_key, "other", ""})),
            "403 InvalidSignatureException");
  EXPECT_THAT(said_, ::testing::Not(HasSubstr(kServiceKeys.secret_key + "\"")));
  for (const minutes shift : {minutes(-6), minutes(6)})
    EXPECT_EQ(answer_to(sign(request("GET", kList), kServiceKeys, wall_now() + shift)),
              "403 InvalidSignatureException");
}

TEST_F(ServiceApiKeys, AReplayWithAnotherBodyIsRefused) {
  const std::string path = "/2015-03-31/functions/f/invocations";
  sandbox::HttpRequest replayed = sign(request("POST", path, R"({"data":"a"})"));
  EXPECT_EQ(answer_to(replayed), "404 ResourceNotFoundException");
  replayed.body = R"({"data":"b"})";
  EXPECT_EQ(answer_to(replayed), "403 InvalidSignatureException");
  replayed.body = R"({"data":"a"})";
  replayed.target = "/2015-03-31/functions/g/invocations";
  EXPECT_EQ(answer_to(replayed), "403 InvalidSignatureException");
}

TEST_F(ServiceApiKeys, OneOfSeveralKeysIsEnoughAndNoneMeansNoSignature) {
  const aws::Credentials other{"other", "other secret", ""};
  ServiceApi both(service_, {kServiceKeys, other});
  EXPECT_EQ(answer_to(sign(request("GET", kList), other), both), "200");
  EXPECT_EQ(answer_to(sign(request("GET", kList)), both), "200");
  ServiceApi none(service_, {});
  EXPECT_EQ(answer_to(request("GET", kList), none), "200");
  EXPECT_EQ(answer_to(sign(request("GET", kList), {"any", "any", "any"}), none), "200");
}

TEST_F(ServiceApiKeys, OnlyARequestWithAZipMayBeLarge) {
  ServiceApi open(service_, {});
  const auto most = [&](const std::string& method, const std::string& target) {
    return open.admit(request(method, target)).body_bytes;
  };
  EXPECT_EQ(most("POST", "/2015-03-31/functions"), 70'167'211u);
  EXPECT_EQ(most("PUT", "/2015-03-31/functions/f/code"), 70'167'211u);
  EXPECT_EQ(most("POST", "/2015-03-31/functions/f/invocations"), 6'291'556u);
  EXPECT_EQ(most("GET", "/"), 6'291'556u);
}

}  // namespace
}  // namespace lambdaml::faas::emulator
