#include "lambdaml/aws/sigv4.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/testing/testing.h"

namespace lambdaml::aws {
namespace {

using std::chrono::system_clock;
using testing::HasSubstr;

/// "20130524T000000Z"
WallTime at(const char* text) {
  std::tm utc{};
  EXPECT_NE(::strptime(text, "%Y%m%dT%H%M%SZ", &utc), nullptr) << text;
  return system_clock::from_time_t(::timegm(&utc));
}

std::string value_of(const Headers& headers, std::string_view name) {
  for (const auto& [known, value] : headers)
    if (known == name) return value;
  return "(none)";
}

// AWS General Reference, "Examples: Signature calculations" (Amazon S3 API Reference,
// Authenticating Requests: Using the Authorization Header).
const Credentials kExample{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""};
constexpr const char* kExampleTime = "20130524T000000Z";

std::string signature_of_example(std::string_view method, std::string_view path, const Query& query,
                                 Headers headers, std::string_view body) {
  headers.emplace_back("host", "examplebucket.s3.amazonaws.com");
  const std::string hash = sha256_hex(as_bytes(body));
  const std::string sent = encode_query(query);
  const Headers added = Signer("s3", "us-east-1")
                            .sign({method, path, sent, headers, hash}, kExample, at(kExampleTime));
  const std::string text = value_of(added, "authorization");
  return text.substr(text.rfind('=') + 1);
}

TEST(AwsSigV4, SignsAsAwsPublished) {
  EXPECT_EQ(signature_of_example("GET", "/test.txt", {}, {{"range", "bytes=0-9"}}, ""),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
  EXPECT_EQ(signature_of_example("PUT", encode_path("/test$file.text"), {},
                                 {{"date", "Fri, 24 May 2013 00:00:00 GMT"},
                                  {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
                                 "Welcome to Amazon S3."),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
  EXPECT_EQ(signature_of_example("GET", "/", {{"lifecycle", ""}}, {}, ""),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
  EXPECT_EQ(signature_of_example("GET", "/", {{"prefix", "J"}, {"max-keys", "2"}}, {}, ""),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

TEST(AwsSigV4, EncodesAsRfc3986) {
  EXPECT_EQ(encode("AZaz09-_.~"), "AZaz09-_.~");
  EXPECT_EQ(encode(" %+/é"), "%20%25%2B%2F%C3%A9");
  EXPECT_EQ(encode_path("a b/c%20d"), "a%20b/c%2520d");
  EXPECT_EQ(encode_query({}), "");
  // By encoded name and then value: "a-" comes before "a=" only when names are compared alone.
  EXPECT_EQ(encode_query({{"a-", "1"}, {"a", "2"}, {"a", "1"}, {"é", ""}}), "%C3%A9=&a=1&a=2&a-=1");
}

TEST(AwsSigV4, TheKeyFollowsTheDayAndTheSecret) {
  const Signer signer("s3", "us-east-1");
  const Headers headers = {{"host", "h"}};
  const auto sign = [&](const Credentials& credentials, const char* time) {
    return value_of(signer.sign({"GET", "/", "", headers, "x"}, credentials, at(time)),
                    "authorization");
  };
  const std::string first = sign(kExample, "20130524T235959Z");
  const std::string next_day = sign(kExample, "20130525T000000Z");
  Credentials other = kExample;
  other.secret_key += "2";
  EXPECT_NE(sign(other, "20130524T235959Z"), first);
  EXPECT_EQ(sign(kExample, "20130524T235959Z"), first);
  EXPECT_EQ(sign(kExample, "20130525T000000Z"), next_day);
  EXPECT_THAT(next_day, HasSubstr("/20130525/us-east-1/s3/aws4_request"));
}

/// The lines that a command prints; fails the test when it fails.
std::vector<std::string> lines_of(const std::string& command) {
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return {};
  std::string all;
  std::array<char, 65536> part{};
  while (const std::size_t n = std::fread(part.data(), 1, part.size(), pipe))
    all.append(part.data(), n);
  EXPECT_EQ(::pclose(pipe), 0) << command;
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < all.size();) {
    const std::size_t end = all.find('\n', begin);
    lines.push_back(all.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

TEST(AwsSigV4, SignsAsBotocoreDoes) {
  REQUIRE_OR_SKIP(std::system("/usr/bin/python3 -c 'import botocore' 2>/dev/null") == 0,
                  "no python3-botocore here");
  constexpr int kRequests = 1000;
  const std::vector<std::string> lines =
      lines_of("/usr/bin/python3 " LAMBDAML_SOURCE_DIR "/src/lambdaml/aws/botocore_signatures.py " +
               std::to_string(kRequests) + " 7");
  ASSERT_EQ(lines.size(), static_cast<std::size_t>(kRequests));
  int signed_payloads = 0;
  for (const std::string& line : lines) {
    const auto request = nlohmann::json::parse(line);
    const std::string hash = sha256_hex(as_bytes(request["body"].get<std::string>()));
    std::string payload_hash = hash;
    if (!request["payload_hash"].is_null()) {
      payload_hash = request["payload_hash"];
      if (payload_hash != kUnsignedPayload) ++signed_payloads;
      EXPECT_TRUE(payload_hash == hash || payload_hash == kUnsignedPayload);
    }
    Headers headers = request["headers"].get<Headers>();
    headers.emplace_back("host", request["host"]);
    const std::string method = request["method"];
    const std::string path = request["path"];
    const std::string query = encode_query(request["query"].get<Query>());
    const std::string time = request["time"];
    const Headers added =
        Signer(request["service"], request["region"])
            .sign({method, path, query, headers, payload_hash},
                  {request["access_key"], request["secret_key"], request["token"]},
                  at(time.c_str()));
    ASSERT_EQ(value_of(added, "authorization"), request["authorization"].get<std::string>())
        << line;
    EXPECT_EQ(value_of(added, "x-amz-date"), time);
    EXPECT_EQ(value_of(added, "x-amz-security-token"),
              request["token"] == "" ? "(none)" : request["token"].get<std::string>());
  }
  EXPECT_GT(signed_payloads, 0);
}

}  // namespace
}  // namespace lambdaml::aws
