#include "lambdaml/aws/signature_check.h"

#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/testing/testing.h"

namespace lambdaml::aws {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using std::chrono::system_clock;
using testing::HasSubstr;

const Credentials kKeys{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""};

/// A request of our own client, signed `now`, which tests then change.
struct Signed {
  std::string method = "POST";
  std::string target = "/2015-03-31/functions/f%3A1/invocations?Qualifier=a%20b&Another=%2B";
  Headers headers = {{"host", "127.0.0.1:9001"},
                     {"x-amz-invocation-type", "Event"},
                     {"content-type", "application/json"}};
  std::string body = R"({"data":"x"})";
  WallTime now = wall_now();

  explicit Signed(const Credentials& keys = kKeys, const std::string& service = "lambda",
                  const std::string& region = "eu-central-1") {
    const std::string hash = sha256_hex(as_bytes(body));
    const std::string query = encode_query({{"Qualifier", "a b"}, {"Another", "+"}});
    const Headers added =
        Signer(service, region)
            .sign({method, target.substr(0, target.find('?')), query, headers, hash}, keys, now);
    headers.insert(headers.end(), added.begin(), added.end());
  }
  std::string& header(std::string_view name) {
    for (auto& [known, value] : headers)
      if (known == name) return value;
    headers.emplace_back(name, "");
    return headers.back().second;
  }
  void replace(std::string_view header_name, std::string_view from, std::string_view to) {
    std::string& text = header(header_name);
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << text;
    text.replace(at, from.size(), to);
  }
  /// Why it is refused; "" when it is not.
  std::string refusal(const std::vector<Credentials>& accepted = {kKeys},
                      seconds later = seconds(0)) const {
    const auto answer = SignatureCheck("lambda", accepted)
                            .check({method, target, headers}, as_bytes(body), now + later);
    return answer ? answer->type : "";
  }
  std::string refusal_of_head() const {
    const auto answer =
        SignatureCheck("lambda", {kKeys}).check_head({method, target, headers}, now);
    return answer ? answer->type : "";
  }
};

TEST(SignatureCheck, TakesWhatOurClientSigns) {
  EXPECT_EQ(Signed().refusal(), "");
  EXPECT_EQ(Signed().refusal_of_head(), "");
  EXPECT_EQ(Signed(kKeys, "lambda", "us-west-2").refusal(), "") << "any region";
  Signed written_otherwise;
  for (auto& [name, value] : written_otherwise.headers)
    for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  EXPECT_EQ(written_otherwise.refusal(), "");
  const Credentials other{"other", "secret", ""};
  EXPECT_EQ(Signed(other).refusal({kKeys, other}), "");
}

TEST(SignatureCheck, RefusesWhatWasChangedAfterwards) {
  const auto changed = [](auto change) {
    Signed request;
    change(request);
    return request.refusal();
  };
  const std::string wrong = "InvalidSignatureException";
  EXPECT_EQ(changed([](Signed& r) { r.body = R"({"data":"y"})"; }), wrong);
  EXPECT_EQ(changed([](Signed& r) { r.body.clear(); }), wrong);
  EXPECT_EQ(changed([](Signed& r) { r.method = "PUT"; }), wrong);
  EXPECT_EQ(changed([](Signed& r) { r.target.replace(0, 12, "/2017-03-31/"); }), wrong);
  EXPECT_EQ(changed([](Signed& r) { r.target += "&More=1"; }), wrong);
  EXPECT_EQ(changed([](Signed& r) { r.target.erase(r.target.find('?')); }), wrong);
  EXPECT_EQ(changed([](Signed& r) { r.header("host") = "evil.example:9001"; }), wrong);
  EXPECT_EQ(changed([](Signed& r) { r.header("x-amz-invocation-type") = "DryRun"; }), wrong);
  EXPECT_EQ(changed([](Signed& r) { r.header("x-amz-log-type") = "Tail"; }), wrong)
      << "a header that the signature does not cover";
  EXPECT_EQ(changed([](Signed& r) { r.header("content-type") = "text/plain"; }), wrong);
  EXPECT_EQ(changed([](Signed& r) {
              std::string& text = r.header("authorization");
              text.back() = text.back() == '0' ? '1' : '0';
            }),
            wrong);
  EXPECT_EQ(changed([](Signed& r) { r.header("authorization").pop_back(); }), wrong);
  EXPECT_EQ(changed([](Signed& r) { r.replace("authorization", "eu-central-1", "us-east-1"); }),
            wrong);
}

TEST(SignatureCheck, ASignatureHoldsForFiveMinutes) {
  const Signed request;
  EXPECT_EQ(request.refusal({kKeys}, seconds(299)), "");
  EXPECT_EQ(request.refusal({kKeys}, seconds(-299)), "");
  const auto said = [&](seconds later) {
    const auto refusal = SignatureCheck("lambda", {kKeys})
                             .check({request.method, request.target, request.headers},
                                    as_bytes(request.body), request.now + later);
    return refusal ? refusal->type + ": " + refusal->message : "";
  };
  // What AWS's clients look for when they set their clock.
  EXPECT_THAT(said(seconds(302)), HasSubstr("InvalidSignatureException: Signature expired: "));
  EXPECT_THAT(said(seconds(-302)),
              HasSubstr("InvalidSignatureException: Signature not yet current: "));
  Signed shifted;
  shifted.header("x-amz-date") = time_stamp(shifted.now + minutes(1));
  EXPECT_EQ(shifted.refusal(), "InvalidSignatureException") << "the time is signed";
  Signed another_day;
  another_day.replace("authorization", "/" + time_stamp(another_day.now).substr(0, 8), "/20130524");
  EXPECT_EQ(another_day.refusal(), "InvalidSignatureException");
}

TEST(SignatureCheck, OnlyTheKeysThatAreAccepted) {
  EXPECT_EQ(Signed({"other", kKeys.secret_key, ""}).refusal(), "UnrecognizedClientException");
  EXPECT_EQ(Signed({kKeys.access_key, "other", ""}).refusal(), "InvalidSignatureException");
  EXPECT_EQ(Signed({"", kKeys.secret_key, ""}).refusal(), "IncompleteSignatureException");
  EXPECT_EQ(Signed().refusal({}), "UnrecognizedClientException");
  EXPECT_EQ(Signed({kKeys.access_key, "other", ""}).refusal_of_head(), "")
      << "what only the signature tells";
}

TEST(SignatureCheck, ASessionTokenIsThatOfTheKeys) {
  Credentials session = kKeys;
  session.session_token = "token/with+signs==";
  EXPECT_EQ(Signed(session).refusal({session}), "");
  EXPECT_EQ(Signed(kKeys).refusal({session}), "") << "the secret is what counts";
  EXPECT_EQ(Signed(session).refusal({kKeys}), "UnrecognizedClientException");
  Credentials other = session;
  other.session_token = "other";
  EXPECT_EQ(Signed(other).refusal({session}), "UnrecognizedClientException");
}

TEST(SignatureCheck, AHeadWithoutAProperClaimIsRefusedBeforeItsBody) {
  const auto head = [](const std::string& authorization) {
    Signed request;
    request.header("authorization") = authorization;
    return request.refusal_of_head();
  };
  Signed unsigned_request;
  std::erase_if(unsigned_request.headers,
                [](const auto& header) { return header.first == "authorization"; });
  EXPECT_EQ(unsigned_request.refusal_of_head(), "MissingAuthenticationTokenException");
  const std::string incomplete = "IncompleteSignatureException";
  EXPECT_EQ(head(""), incomplete);
  EXPECT_EQ(head("Basic dXNlcjpwYXNzd29yZA=="), incomplete);
  EXPECT_EQ(head("AWS4-HMAC-SHA256 "), incomplete);
  EXPECT_EQ(head("AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=x"), incomplete);
  EXPECT_EQ(head("AWS4-HMAC-SHA256 Credential=" + kKeys.access_key +
                 "/20130524/us-east-1/lambda/aws4_request, SignedHeaders=, Signature="),
            incomplete);
  EXPECT_EQ(Signed(kKeys, "s3").refusal_of_head(), "InvalidSignatureException") << "other service";
  Signed no_host;
  no_host.replace("authorization", ";host;", ";");
  EXPECT_EQ(no_host.refusal_of_head(), "InvalidSignatureException");
  for (const char* time : {"", "now", "20130524T000000", "20139924T000000Z", "20130524T000000Zx"}) {
    Signed request;
    request.header("x-amz-date") = time;
    EXPECT_EQ(request.refusal_of_head(), incomplete) << time;
  }
  Signed many;
  for (int i = 0; i < 1000; ++i)
    many.replace("authorization", "SignedHeaders=", "SignedHeaders=a;");
  EXPECT_EQ(many.refusal_of_head(), incomplete);
}

TEST(SignatureCheck, APayloadHashThatIsToldMustBeTheBodys) {
  // S3's signer tells it; what it signs is the same but for the path.
  Signed request(kKeys, "lambda");
  request.header("x-amz-content-sha256") = sha256_hex(as_bytes(request.body));
  EXPECT_EQ(request.refusal(), "InvalidSignatureException") << "told, but not signed";
  request.header("x-amz-content-sha256") = kUnsignedPayload;
  EXPECT_EQ(request.refusal(), "InvalidSignatureException");
}

/// Requests with odd characters in paths, queries and headers.
TEST(SignatureCheck, TakesWhatBotocoreSigns) {
  REQUIRE_OR_SKIP(std::system("/usr/bin/python3 -c 'import botocore' 2>/dev/null") == 0,
                  "no python3-botocore here");
  const std::string path = testing::TempDir() + "signed_by_botocore";
  ASSERT_EQ(std::system(("/usr/bin/python3 " LAMBDAML_SOURCE_DIR
                         "/src/lambdaml/aws/botocore_signatures.py 300 11 > " +
                         path)
                            .c_str()),
            0);
  std::ifstream file(path);
  int checked = 0;
  for (std::string line; std::getline(file, line);) {
    const auto request = nlohmann::json::parse(line);
    if (request["payload_hash"] == kUnsignedPayload) continue;
    Headers headers = request["headers"].get<Headers>();
    headers.emplace_back("Host", request["host"]);
    headers.emplace_back("X-Amz-Date", request["time"]);
    headers.emplace_back("Authorization", request["authorization"]);
    if (request["token"] != "") headers.emplace_back("X-Amz-Security-Token", request["token"]);
    if (!request["payload_hash"].is_null())
      headers.emplace_back("X-Amz-Content-SHA256", request["payload_hash"]);
    std::string target = request["path"];
    std::string sent;
    for (const auto& [name, value] : request["query"].get<Query>())
      sent += (sent.empty() ? "?" : "&") + encode(name) + "=" + encode(value);
    target += sent;
    const SignatureCheck check(request["service"],
                               {{request["access_key"], request["secret_key"], request["token"]}});
    const std::string method = request["method"];
    std::string body = request["body"];
    const auto refusal = check.check({method, target, headers}, as_bytes(body), wall_now());
    EXPECT_FALSE(refusal) << refusal->type << ": " << refusal->message << '\n' << line;
    body += "x";
    EXPECT_TRUE(check.check({method, target, headers}, as_bytes(body), wall_now()));
    ++checked;
  }
  std::remove(path.c_str());
  EXPECT_GT(checked, 150);
}

}  // namespace
}  // namespace lambdaml::aws
