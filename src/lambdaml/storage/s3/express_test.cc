#include "lambdaml/storage/s3/express.h"

#include <map>

#include <gmock/gmock.h>

#include "lambdaml/aws/signature_check.h"
#include "lambdaml/base/testing/manual_clock.h"
#include "lambdaml/storage/s3/answers.h"
#include "lambdaml/storage/s3/bucket.h"
#include "lambdaml/storage/testing/scripted_s3.h"

/// The exceptions of S3 Express One Zone from S3's protocol, with a server that
/// insists on them.
namespace lambdaml::storage::s3 {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const std::string kBucket = "bucket--use1-az4--x-s3";

/// A directory bucket in memory.
class Express {
 public:
  ScriptedServer server{[this](const ScriptedRequest& heard) { return answer(heard); }};
  int sessions = 0;
  /// Only sessions from this one on are good, and what others are told.
  int first_good = 0;
  std::string refusal = "ExpiredToken";
  bool is_forbidden = false;
  std::map<std::string, std::string> objects;
  std::vector<std::string> faults;  ///< what a real one would not have understood

  std::shared_ptr<Storage> open(const std::string& more = "") const {
    return open_plain(Uri::parse("s3://" + kBucket + more + "?endpoint=" + server.url()));
  }

 private:
  ScriptedAnswer answer(const ScriptedRequest& heard) {
    const std::string root = "/" + kBucket;
    if (!heard.target.starts_with(root)) faults.push_back(heard.target);
    const std::string rest = heard.target.substr(std::min(root.size(), heard.target.size()));
    if (rest == "?session=") {
      if (is_forbidden) return fault(403, "AccessDenied");
      check(heard, {"AKIDEXAMPLE", "SECRETEXAMPLE", ""});
      ++sessions;
      return {.body =
                  fmt::format("<CreateSessionResult><Credentials><AccessKeyId>ASIA{0}</AccessKeyId>"
                              "<SecretAccessKey>SECRETEXAMPLE{0}</SecretAccessKey>"
                              "<SessionToken>TOKENEXAMPLE{0}</SessionToken>"
                              "<Expiration>2030-01-01T00:00:00Z</Expiration></Credentials>"
                              "</CreateSessionResult>",
                              sessions)};
    }
    const std::string token = heard.header("x-amz-s3session-token");
    if (!token.starts_with("TOKENEXAMPLE")) return fault(403, "AccessDenied");
    const std::string number = token.substr(12);
    check(heard, {"ASIA" + number, "SECRETEXAMPLE" + number, ""});
    if (!heard.header("x-amz-security-token").empty()) faults.push_back("two tokens");
    if (std::stoi(number) < first_good) return fault(400, refusal);
    if (!heard.header("content-md5").empty()) return fault(501, "NotImplemented");
    return object_answer(heard, rest);
  }

  /// Requests are signed for s3express with these keys.
  void check(const ScriptedRequest& heard, aws::Credentials keys) {
    const aws::SignatureCheck signature("s3express", {std::move(keys)});
    const auto refusal = signature.check({heard.method, heard.target, heard.headers},
                                         as_bytes(heard.body), wall_now());
    if (refusal) faults.push_back(heard.target + ": " + refusal->message);
  }

  ScriptedAnswer object_answer(const ScriptedRequest& heard, const std::string& rest) {
    if (rest.starts_with("?delete=")) {
      if (heard.header("x-amz-checksum-sha256").size() != 44) return fault(400, "InvalidRequest");
      for (std::size_t at = 0; (at = heard.body.find("<Key>", at)) != std::string::npos;) {
        at += 5;
        objects.erase(heard.body.substr(at, heard.body.find('<', at) - at));
      }
      return {.body = "<DeleteResult/>"};
    }
    if (rest.starts_with("?")) return list(rest);
    const std::string key = rest.substr(1);
    if (heard.method == "PUT") {
      if (heard.header("if-none-match") == "*" && objects.contains(key))
        return fault(412, "PreconditionFailed");
      objects[key] = heard.body;
      return {};
    }
    if (heard.method == "DELETE") {
      objects.erase(key);
      return {.status = 204};
    }
    if (!objects.contains(key)) return absent();
    // 32 hexadecimal digits that are no MD5.
    return object(heard, objects[key], {{"etag", "\"0123456789abcdef0123456789abcdef\""}});
  }

  /// The last first, as a real one might.
  ScriptedAnswer list(const std::string& query) {
    std::string prefix;
    if (const std::size_t at = query.find("prefix="); at != std::string::npos)
      prefix = *decode_key(query.substr(at + 7, query.find('&', at) - at - 7));
    if (!prefix.empty() && !prefix.ends_with('/')) return fault(400, "InvalidRequest");
    std::string body = "<ListBucketResult>";
    for (auto at = objects.rbegin(); at != objects.rend(); ++at)
      if (at->first.starts_with(prefix))
        body += fmt::format("<Contents><Key>{}</Key><Size>{}</Size></Contents>", at->first,
                            at->second.size());
    return {.body = body + "</ListBucketResult>"};
  }
};

class S3Express : public S3 {
 protected:
  void TearDown() override { EXPECT_THAT(express_.faults, testing::IsEmpty()); }
  Express express_;
};

TEST_F(S3Express, RequestsShareASession) {
  const auto store = express_.open("/job");
  store->save("key", as_bytes("value"));
  EXPECT_EQ(store->load("key")->text(), "value");
  EXPECT_FALSE(store->load("absent"));
  EXPECT_FALSE(store->create("key", {}));
  EXPECT_TRUE(store->create("new", as_bytes("x")));
  store->remove("key");
  EXPECT_FALSE(store->load("key"));
  EXPECT_EQ(express_.sessions, 1);
}

TEST_F(S3Express, ObjectsOfOthersHaveNoMd5) {
  express_.objects["theirs"] = "value";
  EXPECT_EQ(express_.open()->load("theirs")->text(), "value");
}

TEST_F(S3Express, ListsAreInOrderAndOfAnyPrefix) {
  const auto store = express_.open("/job");
  for (const char* key : {"v/1-0", "v/1-1", "v/2-0", "w/1"}) store->save(key, as_bytes(key));
  EXPECT_THAT(store->list(""), ElementsAre(Entry{"v/1-0", 5}, Entry{"v/1-1", 5}, Entry{"v/2-0", 5},
                                           Entry{"w/1", 3}));
  EXPECT_THAT(store->list("v/1"), ElementsAre(Entry{"v/1-0", 5}, Entry{"v/1-1", 5}));
  express_.objects["elsewhere"] = "";
  EXPECT_EQ(express_.open()->list("").size(), 5U);
  store->clear("");
  EXPECT_EQ(express_.objects.size(), 1U);
}

TEST_F(S3Express, AnEndedSessionIsFollowedByAnother) {
  for (const std::string& refusal : {std::string("ExpiredToken"), std::string("InvalidToken")}) {
    const auto store = express_.open();
    store->save("key", as_bytes("value"));
    express_.refusal = refusal;
    express_.first_good = express_.sessions + 1;
    const int before = express_.sessions;
    EXPECT_EQ(store->load("key")->text(), "value") << refusal;
    EXPECT_EQ(express_.sessions, before + 1) << refusal;
    // One that is never good is not begun again and again.
    express_.first_good = 1000;
    const auto [code, why] = thrown_by([&] { store->load("key"); });
    EXPECT_EQ(code, Code::permission_denied) << why;
    EXPECT_EQ(express_.sessions, before + 2) << refusal;
    express_.first_good = 0;
  }
}

TEST_F(S3Express, ASessionIsRenewedBeforeItEnds) {
  ManualClock clock;
  const ClockReplacement replacement(clock);
  const auto store = express_.open();
  for (int i = 0; i < 5; ++i) {
    store->save("key", {});
    clock.advance(59);
  }
  EXPECT_EQ(express_.sessions, 1);
  store->save("key", {});
  EXPECT_EQ(express_.sessions, 2);
}

TEST_F(S3Express, AMissingPermissionIsNamed) {
  express_.is_forbidden = true;
  const auto [code, why] = thrown_by([&] { express_.open()->load("key"); });
  EXPECT_EQ(code, Code::permission_denied);
  EXPECT_THAT(why, AllOf(HasSubstr("CreateSession: AccessDenied"),
                         HasSubstr("allow s3express:CreateSession"), Not(HasSubstr("\n"))));
}

TEST_F(S3Express, AZoneThatDoesNotExistIsDoubted) {
  environment_.set("AWS_REGION", "us-east-1");
  const auto store =
      open_plain(Uri::parse("s3://bucket--zz9-az9--x-s3?endpoint=http://no-such-zone.invalid"),
                 std::make_shared<Patience>(PatiencePolicy{.first_contact_s = 0.2}));
  const auto [code, why] = thrown_by([&] { store->load("key"); });
  EXPECT_EQ(code, Code::unavailable);
  EXPECT_THAT(why, AllOf(HasSubstr("is there such a zone in us-east-1"), HasSubstr("ZONE-ID"),
                         Not(HasSubstr("\n"))));
}

TEST_F(S3Express, BucketsHaveTheEndpointOfTheirZone) {
  environment_.set("AWS_REGION", "us-east-1");
  const auto address = [](const std::string& uri) {
    const Uri parsed = Uri::parse(uri);
    Options options(address_options());
    for (const auto& [name, value] : parsed.query) options.parse(name, value, uri);
    return parse_address(parsed, options);
  };
  EXPECT_EQ(address("s3://" + kBucket).zone, "use1-az4");
  EXPECT_EQ(address("s3://a--b--use1-az4--x-s3").zone, "use1-az4");
  EXPECT_EQ(address("s3://bucket--use1-az4").zone, "");
  EXPECT_THROW(address("s3://use1-az4--x-s3"), Error);
  EXPECT_THROW(address("s3://" + kBucket + "?anonymous=true"), Error);
  const Bucket bucket(address("s3://" + kBucket + "/p"), std::make_shared<Patience>());
  EXPECT_EQ(bucket.endpoint(), "https://s3express-use1-az4.us-east-1.amazonaws.com");
  const aws::Request request = bucket.request("GET", "key");
  EXPECT_EQ(request.host, kBucket + ".s3express-use1-az4.us-east-1.amazonaws.com");
  EXPECT_EQ(request.path, "/key");
}

}  // namespace
}  // namespace lambdaml::storage::s3
