#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include <gmock/gmock.h>

#include "lambdaml/aws/testing/scoped_environment.h"
#include "lambdaml/aws/testing/scripted_server.h"
#include "lambdaml/base/service/answers.h"
#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/s3/digest.h"
#include "lambdaml/storage/s3/transfer.h"
#include "lambdaml/storage/testing/conformance.h"

/// What a real server does is tested against one, in tests/integration; here is what none does when
/// it is asked to.
namespace lambdaml::storage::s3 {
namespace {

using aws::Script;
using aws::ScriptedAnswer;
using aws::ScriptedRequest;
using aws::ScriptedServer;
using testing::AllOf;
using testing::ElementsAre;
using testing::Ge;
using testing::HasSubstr;
using testing::Le;
using testing::Lt;
using testing::Not;
using testing::SizeIs;

ScriptedAnswer fault(int status, const std::string& code, const std::string& more = {}) {
  return {.status = status, .body = "<Error><Code>" + code + "</Code>" + more + "</Error>"};
}
ScriptedAnswer absent() { return fault(404, "NoSuchKey"); }

/// What S3 answers to a ranged GET of an object.
ScriptedAnswer object(const ScriptedRequest& heard, std::string_view value,
                      std::vector<std::pair<std::string, std::string>> headers = {}) {
  const std::string range = heard.header("range");  // "bytes=BEGIN-LAST"
  const std::size_t dash = range.find('-');
  const std::size_t begin = std::stoul(range.substr(6, dash - 6));
  const std::size_t end =
      std::min<std::size_t>(value.size(), std::stoul(range.substr(dash + 1)) + 1);
  if (begin >= end) return fault(416, "InvalidRange");
  headers.emplace_back("content-range",
                       fmt::format("bytes {}-{}/{}", begin, end - 1, value.size()));
  return {.status = 206,
          .headers = std::move(headers),
          .body = std::string(value.substr(begin, end - begin))};
}

class S3 : public testing::Test {
 protected:
  static std::shared_ptr<Storage> open(const ScriptedServer& server,
                                       const std::string& place = "s3://bucket") {
    return open_plain(Uri::parse(place + "?endpoint=" + server.url()));
  }
  /// The code and the message, which must name the bucket and hold no secret.
  template <class Call>
  static std::pair<Code, std::string> thrown_by(Call&& call) {
    try {
      call();
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("bucket"));
      for (const char* secret : {"SECRETEXAMPLE", "TOKENEXAMPLE", "Signature="})
        EXPECT_THAT(error.what(), Not(HasSubstr(secret)));
      return {error.code(), error.what()};
    }
    return {Code::internal, "nothing was thrown"};
  }

  aws::ScopedEnvironment environment_{aws::ScopedEnvironment::with_keys()};
};

TEST_F(S3, ASmallValueIsOneRequestEachWay) {
  std::map<std::string, ScriptedRequest> stored;
  ScriptedServer server([&](const ScriptedRequest& heard) -> ScriptedAnswer {
    if (heard.method == "PUT") {
      stored[heard.target] = heard;
      return {};
    }
    const auto at = stored.find(heard.target);
    if (at == stored.end()) return absent();
    return object(heard, at->second.body,
                  {{std::string(kChecksumHeader), at->second.header(kChecksumHeader)}});
  });
  const auto store = open(server, "s3://bucket/some/job");
  EXPECT_EQ(store->describe(), "s3://bucket/some/job");
  store->save("a b", as_bytes("value"));
  store->save("empty", {});
  EXPECT_EQ(store->load("a b")->text(), "value");
  EXPECT_EQ(store->load("empty")->size(), 0U);
  EXPECT_FALSE(store->load("never"));
  const auto heard = server.requests();
  ASSERT_THAT(heard, SizeIs(5));
  EXPECT_EQ(heard[0].target, "/bucket/some/job/a%20b");
  EXPECT_EQ(heard[0].header(kChecksumHeader), checksum_text(as_bytes("value")));
  EXPECT_EQ(heard[0].header("content-type"), "application/octet-stream");
}

TEST_F(S3, TheBucketStandsInTheHostOrInThePath) {
  ScriptedServer server(Script{absent()});
  const std::string local = "http://localhost:" + std::to_string(server.port());
  open_plain(Uri::parse("s3://bucket?addressing=virtual&endpoint=" + local))->load("key");
  open_plain(Uri::parse("s3://bucket?addressing=path&endpoint=" + local))->load("key");
  const auto heard = server.requests();
  ASSERT_THAT(heard, SizeIs(2));
  EXPECT_EQ(heard[0].header("host"), "bucket.localhost:" + std::to_string(server.port()));
  EXPECT_EQ(heard[0].target, "/key");
  EXPECT_EQ(heard[1].header("host"), local.substr(7));
  EXPECT_EQ(heard[1].target, "/bucket/key");
}

TEST_F(S3, UrisThatMakeNoSenseAreRefused) {
  environment_.set("AWS_REGION", "us-east-1");
  for (const char* uri :
       {"s3://", "s3://ab", "s3://bucket:80", "s3://user:SECRETEXAMPLE@bucket", "s3://buc ket",
        "s3://bucket?regoin=x", "s3://bucket?addressing=x", "s3://bucket?endpoint=x",
        "s3://bucket/a/../b", "s3://a..b", "s3://bucket?region=US_EAST"}) {
    try {
      open_plain(Uri::parse(uri));
      ADD_FAILURE() << uri;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::invalid_argument) << uri;
      EXPECT_THAT(error.what(), Not(HasSubstr("SECRETEXAMPLE")));
    }
  }
  EXPECT_THROW(resolve("s3"), Error);
  EXPECT_NO_THROW(open_plain(Uri::parse("s3://bucket/prefix?region=eu-west-1")));
}

TEST_F(S3, ErrorsSayWhatToDo) {
  struct Case {
    ScriptedAnswer answer;
    Code code;
    std::string says;
  };
  const std::vector<Case> cases = {
      {fault(404, "NoSuchBucket"), Code::not_found, "no bucket 'bucket'"},
      {fault(403, "AccessDenied"), Code::permission_denied, "s3:ListBucket"},
      {fault(403, "SignatureDoesNotMatch",
             "<Message>wrong</Message><StringToSign>SECRETEXAMPLE</StringToSign>"),
       Code::permission_denied, "AWS_SECRET_ACCESS_KEY"},
      {fault(403, "InvalidAccessKeyId"), Code::permission_denied, "AWS_PROFILE"},
      {fault(400, "ExpiredToken"), Code::permission_denied, "expired"},
      {fault(403, "RequestTimeTooSkewed"), Code::permission_denied, "clock"},
      {fault(301, "PermanentRedirect", "<Region>eu-west-1</Region>"), Code::invalid_argument,
       "eu-west-1"},
      {{.status = 301, .headers = {{"x-amz-bucket-region", "eu-west-2"}}},
       Code::invalid_argument,
       "AWS_REGION=eu-west-2"},
      {fault(400, "AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>"),
       Code::invalid_argument, "AWS_REGION=eu-west-1"},
      // A proxy's, or a web server's: not S3's word that the key is absent.
      {{.status = 404, .body = "<html>not found</html>"}, Code::internal, "HTTP 404"},
  };
  for (const Case& one : cases) {
    ScriptedServer server(Script{one.answer});
    const auto store = open(server);
    for (int verb = 0; verb < 5; ++verb) {
      const auto [code, message] = thrown_by([&] {
        if (verb == 0) store->load("key");
        if (verb == 1) store->save("key", as_bytes("x"));
        if (verb == 2) store->create("key", as_bytes("x"));
        if (verb == 3) store->remove("key");
        if (verb == 4) store->list("key");
      });
      EXPECT_EQ(code, one.code) << message;
      EXPECT_THAT(message, AllOf(HasSubstr(one.says), HasSubstr("key"), HasSubstr(server.url())));
      EXPECT_EQ(message.find('\n'), std::string::npos);
    }
  }
}

/// What the sender of a function's event could otherwise read of a place that the function reaches.
TEST_F(S3, AFunctionRepeatsNoAnswerOfAnEndpointThatItsEventNames) {
  const auto message_of = [&](const ScriptedAnswer& answer, bool in_function) {
    ScriptedServer server(Script{answer});
    set_repeats_answers(!in_function);
    std::string message = "nothing was thrown";
    try {
      open(server)->list("key");
    } catch (const Error& error) {
      message = error.what();
    }
    set_repeats_answers(true);
    return message;
  };
  const ScriptedAnswer told = fault(403, "AccessDenied", "<Message>inner secret</Message>");
  EXPECT_THAT(message_of(told, false), HasSubstr("AccessDenied: inner secret"));
  EXPECT_THAT(message_of(told, true), AllOf(HasSubstr("AccessDenied"), Not(HasSubstr("secret"))));
  for (const ScriptedAnswer& foreign :
       {fault(403, "an inner secret"), fault(301, "PermanentRedirect", "<Region>a secret</Region>"),
        ScriptedAnswer{.status = 200, .body = "<html>inner secret</html>"},
        ScriptedAnswer{.status = 404, .body = "inner secret"},
        ScriptedAnswer{.status = 200, .body = "{\"inner\": \"secret\"}"}}) {
    const std::string message = message_of(foreign, true);
    EXPECT_THAT(message, AllOf(Not(HasSubstr("nothing was thrown")), Not(HasSubstr("secret"))));
  }
}

TEST_F(S3, BusyServersAndSkewedClocksAreOutlived) {
  ScriptedServer server(Script{fault(503, "SlowDown"),
                               fault(400, "RequestTimeout"),
                               {.status = 403,
                                .headers = {{"date", "Fri, 24 May 2013 00:00:00 GMT"}},
                                .body = "<Error><Code>RequestTimeTooSkewed</Code></Error>"},
                               {.status = 200}});
  const auto store = open(server);
  store->save("key", as_bytes("value"));
  ASSERT_THAT(server.requests(), SizeIs(4));
  EXPECT_THAT(server.requests()[3].header("x-amz-date"), HasSubstr("20130524T"));
}

TEST_F(S3, AnExpiredTokenIsRenewed) {
  ScriptedServer server([&](const ScriptedRequest& heard) {
    environment_.set("AWS_SESSION_TOKEN", "TOKENEXAMPLE");
    return heard.header("x-amz-security-token").empty() ? fault(400, "ExpiredToken") : absent();
  });
  EXPECT_FALSE(open(server)->load("key"));
  EXPECT_THAT(server.requests(), SizeIs(2));
}

TEST_F(S3, CreateAsksForNothingThere) {
  ScriptedServer server(Script{{.status = 200}, fault(412, "PreconditionFailed")});
  const auto store = open(server);
  EXPECT_TRUE(store->create("key", as_bytes("v")));
  EXPECT_FALSE(store->create("key", as_bytes("v")));
  ASSERT_THAT(server.requests(), SizeIs(2));
  EXPECT_EQ(server.requests()[0].header("if-none-match"), "*");
  EXPECT_NE(server.requests()[0].header("x-amz-meta-lambdaml-writer"),
            server.requests()[1].header("x-amz-meta-lambdaml-writer"));
}

TEST_F(S3, CreateIsTriedAgainWhenAnotherWriterIsAtIt) {
  ScriptedServer server(Script{fault(409, "ConditionalRequestConflict"), {.status = 200}});
  EXPECT_TRUE(open(server)->create("key", as_bytes("v")));
  EXPECT_THAT(server.requests(), SizeIs(2));
}

TEST_F(S3, CreateKnowsItsOwnValueAfterALostAnswer) {
  for (const bool own : {true, false}) {
    std::string first_writer;
    int puts = 0;
    ScriptedServer server([&](const ScriptedRequest& heard) -> ScriptedAnswer {
      if (heard.method == "PUT" && puts++ == 0) {
        first_writer = heard.header("x-amz-meta-lambdaml-writer");
        return {.reset = true};
      }
      if (heard.method == "PUT") return fault(412, "PreconditionFailed");
      return {.headers = {{"x-amz-meta-lambdaml-writer", own ? first_writer : "another"}}};
    });
    EXPECT_EQ(open(server)->create("key", as_bytes("v")), own);
    EXPECT_THAT(server.requests(), SizeIs(3));
  }
}

TEST_F(S3, DamageIsFound) {
  int looks = 0;
  int damaged_looks = 1;
  ScriptedServer server([&](const ScriptedRequest& heard) {
    return object(heard, ++looks <= damaged_looks ? "damaged" : "correct",
                  {{std::string(kChecksumHeader), checksum_text(as_bytes("correct"))}});
  });
  const auto store = open(server);
  EXPECT_EQ(store->load("key")->text(), "correct") << "once is looked again";
  looks = 0;
  damaged_looks = 2;
  const auto [code, message] = thrown_by([&] { store->load("key"); });
  EXPECT_EQ(code, Code::data_corrupt);
  EXPECT_THAT(message, HasSubstr("'key'"));
}

TEST_F(S3, AnswersThatAreNotWhatWasAskedForAreRefused) {
  for (const char* range :
       {"", "bytes 0-4/5", "bytes 1-3/9", "bytes */3", "bytes 0-2/2", "bytes 0--1/3", "items 0-2/3",
        "bytes 0-2/*", "bytes 0-2/9000000000000000000"}) {
    ScriptedServer server(
        Script{{.status = 206, .headers = {{"content-range", range}}, .body = "abc"}});
    EXPECT_EQ(thrown_by([&] { open(server)->load("key"); }).first, Code::data_corrupt) << range;
  }
  // A server that knows no ranges sends the whole.
  ScriptedServer whole(Script{{.status = 200, .body = "abc"}});
  EXPECT_EQ(open(whole)->load("key")->text(), "abc");
}

TEST_F(S3, AnswersHaveAnEnd) {
  const std::string deep = "<ListBucketResult>" + [] {
    std::string out;
    for (int i = 0; i < 200'000; ++i) out += "<a>";
    return out;
  }();
  for (const std::string& body : {std::string(kOneRequestBytes + 1, 'x'), deep}) {
    ScriptedServer server(Script{{.status = 200, .body = body}});
    const auto store = open(server);
    // What is longer than any answer is damaged; what is no answer may be a lost one.
    EXPECT_EQ(thrown_by([&] { store->list(""); }).first,
              body.size() <= kOneRequestBytes ? Code::unavailable : Code::data_corrupt);
    if (body.size() <= kOneRequestBytes) continue;
    EXPECT_EQ(thrown_by([&] { store->load("key"); }).first, Code::data_corrupt);
  }
}

constexpr std::size_t kLarge = kOneRequestBytes + 2 * kPartBytes + 12345;

TEST_F(S3, AnAnswerWithoutMarksIsNotS3s) {
  // What a captive portal or a proxy answers, to everything and with any status.
  for (const int status : {200, 302, 403, 404, 407}) {
    ScriptedServer server(
        [status, left = 2](const ScriptedRequest& heard) mutable -> ScriptedAnswer {
          if (left-- > 0)
            return {.status = status, .body = "<html>Please log in</html>", .marked = false};
          return object(heard, "value");
        });
    EXPECT_EQ(open(server)->load("key")->text(), "value") << status;
    EXPECT_THAT(server.requests(), SizeIs(3)) << status;
  }
  ScriptedServer portal(Script{{.body = "<html>Please log in</html>", .marked = false}});
  const auto store = open(portal);
  const auto [code, why] = thrown_by([&] { store->save("key", as_bytes("value")); });
  EXPECT_EQ(code, Code::unavailable);
  EXPECT_THAT(why, HasSubstr("x-amz-request-id"));
  EXPECT_THAT(why, Not(HasSubstr("log in")));
}

TEST_F(S3, LargeValuesComeInParts) {
  const Buffer value = noise(kLarge, 1);
  int changes = 1;
  ScriptedServer server([&](const ScriptedRequest& heard) -> ScriptedAnswer {
    // The object is replaced once while its parts are being fetched.
    if (!heard.header("if-match").empty() && changes-- > 0) return fault(412, "PreconditionFailed");
    EXPECT_THAT(heard.header("if-match"), testing::AnyOf("", "\"tag\""));
    return object(heard, value.text(),
                  {{"etag", "\"tag\""}, {std::string(kChecksumHeader), checksum_text(value)}});
  });
  const auto meter = std::make_shared<Meter>();
  const auto store = with_meter(open(server), meter);
  EXPECT_TRUE(std::ranges::equal(store->load("key")->view(), value.view()));
  EXPECT_THAT(server.requests(), SizeIs(2 * (1 + 3)));
  EXPECT_EQ(meter->usage().get.requests, 8U);
  EXPECT_GE(meter->usage().get.bytes, value.size());
}

class S3Upload : public S3 {
 protected:
  /// Answers as S3 does to an upload in parts; `meddle` may answer instead.
  std::unique_ptr<ScriptedServer> server(
      std::function<std::optional<ScriptedAnswer>(const ScriptedRequest&)> meddle) {
    return std::make_unique<ScriptedServer>(
        [this, meddle = std::move(meddle)](const ScriptedRequest& heard) -> ScriptedAnswer {
          if (auto answer = meddle(heard)) return *answer;
          if (heard.target.ends_with("?uploads="))
            return {.body =
                        "<InitiateMultipartUploadResult><UploadId>id+1</UploadId>"
                        "</InitiateMultipartUploadResult>"};
          if (heard.method == "PUT") {
            const std::size_t at = heard.target.find("partNumber=") + 11;
            const int number = std::stoi(heard.target.substr(at));
            parts_[number] = heard.body;
            return {.headers = {{"etag", fmt::format("\"e{}\"", number)}}};
          }
          if (heard.method == "DELETE") {
            aborted_ = true;
            return {.status = 204};
          }
          completed_ = heard.body;
          return {.body = "<CompleteMultipartUploadResult/>"};
        });
  }
  std::map<int, std::string> parts_;
  std::atomic<bool> aborted_{false};
  std::string completed_;
  const Buffer value_ = noise(kLarge, 2);
};

TEST_F(S3Upload, LargeValuesGoInParts) {
  const auto s3 = server([](const ScriptedRequest& heard) -> std::optional<ScriptedAnswer> {
    EXPECT_EQ(heard.header("authorization").find("AKIDEXAMPLE") == std::string::npos, false);
    return {};
  });
  const auto meter = std::make_shared<Meter>();
  with_meter(open(*s3), meter)->save("key", value_);
  std::string whole;
  for (const auto& [number, bytes] : parts_) whole += bytes;
  EXPECT_TRUE(whole == value_.text());
  EXPECT_THAT(completed_, HasSubstr("<PartNumber>5</PartNumber><ETag>\"e5\"</ETag>"));
  EXPECT_FALSE(aborted_);
  EXPECT_EQ(s3->requests()[0].header(kChecksumHeader), checksum_text(value_));
  EXPECT_EQ(meter->usage().put.requests, 7U);
  EXPECT_EQ(meter->usage().put.bytes, value_.size());
}

TEST_F(S3Upload, AFailedPartEndsIt) {
  const auto s3 = server([](const ScriptedRequest& heard) -> std::optional<ScriptedAnswer> {
    if (heard.target.find("partNumber=2&") != std::string::npos) return fault(403, "AccessDenied");
    return {};
  });
  EXPECT_EQ(thrown_by([&] { open(*s3)->save("key", value_); }).first, Code::permission_denied);
  EXPECT_TRUE(aborted_);
  EXPECT_EQ(completed_, "");
}

TEST_F(S3Upload, ASuccessThatTurnsOutAFailureIsOne) {
  const auto s3 = server([](const ScriptedRequest& heard) -> std::optional<ScriptedAnswer> {
    if (heard.method == "POST" && heard.target.find("uploadId") != std::string::npos)
      return fault(200, "InternalError");
    return {};
  });
  EXPECT_EQ(thrown_by([&] { open(*s3)->save("key", value_); }).first, Code::unavailable);
  EXPECT_TRUE(aborted_);
}

TEST_F(S3Upload, CompletedByATryWhoseAnswerWasLost) {
  int completions = 0;
  const auto s3 = server([&](const ScriptedRequest& heard) -> std::optional<ScriptedAnswer> {
    if (heard.method != "POST" || heard.target.find("uploadId") == std::string::npos) return {};
    if (completions++ == 0) return ScriptedAnswer{.reset = true};
    return fault(404, "NoSuchUpload");
  });
  EXPECT_NO_THROW(open(*s3)->save("key", value_));
  EXPECT_FALSE(aborted_);
}

std::string page_of(const std::vector<std::string>& keys, const std::string& next) {
  std::string out = "<ListBucketResult><EncodingType>url</EncodingType>";
  for (const std::string& key : keys)
    out += "<Contents><Key>" + key + "</Key><Size>1</Size></Contents>";
  if (!next.empty())
    out += "<IsTruncated>true</IsTruncated><NextContinuationToken>" + next +
           "</NextContinuationToken>";
  return out + "</ListBucketResult>";
}

TEST_F(S3, ListsGoOnFromPageToPage) {
  ScriptedServer server(Script{{.body = page_of({"a%20b", "folder%2F", "c//d"}, "to+ken")},
                               {.body = page_of({"e", "A"}, "")}});
  const auto meter = std::make_shared<Meter>();
  const auto store = with_meter(open(server), meter);
  // What others put there under names that are no keys is none of ours.
  EXPECT_THAT(store->list(""), ElementsAre(Entry{"A", 1}, Entry{"a b", 1}, Entry{"e", 1}));
  EXPECT_EQ(meter->usage().list.requests, 2U);
  EXPECT_EQ(server.requests()[0].target, "/bucket?encoding-type=url&list-type=2&prefix=");
  EXPECT_THAT(server.requests()[1].target, HasSubstr("continuation-token=to%2Bken&"));
}

TEST_F(S3, AListInACircleEnds) {
  ScriptedServer server(Script{{.body = page_of({"a"}, "again")}});
  EXPECT_EQ(thrown_by([&] { open(server)->list(""); }).first, Code::data_corrupt);
}

TEST_F(S3, KeysAreRemovedByTheThousand) {
  ScriptedServer server(Script{{.body = "<DeleteResult/>"}});
  const auto meter = std::make_shared<Meter>();
  const auto store = with_meter(open(server), meter);
  store->remove_all({});
  EXPECT_THAT(server.requests(), SizeIs(0)) << "a request to delete nothing is an error to S3";
  std::vector<std::string> keys;
  for (int i = 0; i < 2001; ++i) keys.push_back(fmt::format("k{}", i));
  store->remove_all(keys);
  const auto heard = server.requests();
  ASSERT_THAT(heard, SizeIs(3));
  EXPECT_EQ(meter->usage().remove.requests, 3U);
  std::size_t named = 0;
  for (const ScriptedRequest& request : heard) {
    EXPECT_EQ(request.target, "/bucket?delete=");
    EXPECT_EQ(request.header("content-md5"), content_md5(as_bytes(request.body)));
    for (std::size_t at = 0; (at = request.body.find("<Key>", at)) != std::string::npos; ++at)
      ++named;
  }
  EXPECT_EQ(named, keys.size());
}

TEST_F(S3, AKeyThatIsNotRemovedIsSaid) {
  const std::vector<std::string> keys = {"a", "b"};
  for (const auto& [name, code] : {std::pair("AccessDenied", Code::permission_denied),
                                   std::pair("InternalError", Code::unavailable)}) {
    ScriptedServer server(Script{
        {.body = fmt::format("<DeleteResult><Error><Key>gone</Key><Code>NoSuchKey</Code></Error>"
                             "<Error><Key>b</Key><Code>{}</Code></Error></DeleteResult>",
                             name)}});
    const auto [found, message] = thrown_by([&] { open(server)->remove_all(keys); });
    EXPECT_EQ(found, code);
    EXPECT_THAT(message, HasSubstr("'b'"));
  }
}

TEST_F(S3, WithoutMultiObjectDeletionKeysAreRemovedSingly) {
  for (const ScriptedAnswer& refusal :
       {fault(501, "NotImplemented"), fault(405, "MethodNotAllowed"), fault(400, "InvalidArgument"),
        fault(501, "")}) {
    std::set<std::string> there = {"/bucket/a", "/bucket/b", "/bucket/c%20d", "/bucket/e"};
    ScriptedServer server([&](const ScriptedRequest& heard) -> ScriptedAnswer {
      if (heard.method == "POST") return refusal;
      if (heard.method == "DELETE") there.erase(heard.target);
      return {.status = 204};
    });
    const auto store = open(server);
    store->remove_all(std::vector<std::string>{"a", "b", "absent"});
    EXPECT_EQ(there, (std::set<std::string>{"/bucket/c%20d", "/bucket/e"}));
    store->remove_all(std::vector<std::string>{"c d", "e"});
    open(server)->remove_all(std::vector<std::string>{"a", "b"});
    EXPECT_THAT(there, SizeIs(0));
    EXPECT_EQ(std::ranges::count(server.requests(), "POST", &ScriptedRequest::method), 1)
        << "the refusal is asked once";
  }
}

TEST_F(S3, AKeyThatIsNotRemovedSinglyIsSaid) {
  ScriptedServer server([&](const ScriptedRequest& heard) -> ScriptedAnswer {
    if (heard.method == "POST") return fault(501, "NotImplemented");
    return heard.target == "/bucket/b" ? fault(403, "AccessDenied") : ScriptedAnswer{.status = 204};
  });
  const auto [code, message] = thrown_by([&] {
    open(server)->remove_all(std::vector<std::string>{"a", "b"});
  });
  EXPECT_EQ(code, Code::permission_denied);
  EXPECT_THAT(message, HasSubstr("'b'"));
}

TEST_F(S3, WhatAServerDoesNotSupportIsFinal) {
  for (const ScriptedAnswer& refusal : {fault(501, "NotImplemented"), fault(501, "")}) {
    ScriptedServer server(Script{refusal});
    const auto store = with_retry(open(server));
    std::size_t requests = 0;
    const auto expect_final = [&](auto call, const char* says) {
      const auto [code, message] = thrown_by(call);
      EXPECT_EQ(code, Code::invalid_argument) << message;
      EXPECT_THAT(message, HasSubstr(says));
      EXPECT_THAT(server.requests(), SizeIs(++requests)) << "it was tried again";
    };
    expect_final([&] { store->load("key"); }, "docs/channels.md");
    expect_final([&] { store->save("key", {}); }, "docs/channels.md");
    expect_final([&] { store->remove("key"); }, "docs/channels.md");
    expect_final([&] { store->list("key"); }, "docs/channels.md");
    expect_final([&] { store->create("key", {}); }, "If-None-Match");
    expect_final([&] { require_atomic_create(*store, "this test"); }, "this test needs");
  }
}

TEST_F(S3, ServersThatIgnoreTheConditionOfAWriteAreFound) {
  for (const bool ignores : {false, true}) {
    std::set<std::string> there;
    ScriptedServer server([&](const ScriptedRequest& heard) -> ScriptedAnswer {
      if (heard.method == "DELETE") there.erase(heard.target);
      if (heard.method != "PUT") return {.status = 204};
      const bool is_new = there.insert(heard.target).second;
      if (is_new || ignores) return {};
      return fault(412, "PreconditionFailed");
    });
    const auto store = open(server);
    if (ignores) {
      const auto [code, message] = thrown_by([&] { require_atomic_create(*store, "this test"); });
      EXPECT_EQ(code, Code::invalid_argument);
      EXPECT_THAT(message, AllOf(HasSubstr("ignores"), HasSubstr("this test")));
    } else {
      require_atomic_create(*store, "this test");
    }
    EXPECT_THAT(there, SizeIs(0)) << "the probe is left";
    EXPECT_THAT(server.requests(), SizeIs(3));
  }
}

/// A bucket whose keys come one by one.
class S3Wait : public S3 {
 protected:
  void put(const std::string& key) {
    const std::lock_guard lock(mutex_);
    there_.insert("/bucket/" + key);
  }
  std::size_t looks() const { return server_.requests().size(); }

  std::mutex mutex_;
  std::set<std::string> there_;
  ScriptedServer server_{[this](const ScriptedRequest& heard) {
    const std::lock_guard lock(mutex_);
    ScriptedAnswer answer = there_.contains(heard.target) ? object(heard, heard.target) : absent();
    answer.delay_s = 0.002;  // so that looks can be under way together
    return answer;
  }};
  const std::shared_ptr<Meter> meter_ = std::make_shared<Meter>();
  const std::shared_ptr<Storage> store_ = with_meter(open(server_), meter_);
};

std::vector<std::string> numbered(std::size_t n) {
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < n; ++i) keys.push_back(fmt::format("round/{}", i));
  return keys;
}

TEST_F(S3Wait, KeysThatAreThereCostALookEach) {
  const auto keys = numbered(100);
  for (const std::string& key : keys) put(key);
  for (const Deadline deadline : {Deadline::in(0), Deadline::in(20), Deadline::never()}) {
    const std::size_t before = looks();
    const auto values = store_->load_all(keys, deadline);
    for (std::size_t i = 0; i < keys.size(); ++i) ASSERT_EQ(values[i].text(), "/bucket/" + keys[i]);
    EXPECT_EQ(looks() - before, 100U);
  }
  EXPECT_EQ(meter_->usage().get.requests, 300U);
  EXPECT_THAT(server_.most_at_once(), AllOf(Ge(2), Le(32)));
}

TEST_F(S3Wait, ALookAtOnceIsOneLookAtEach) {
  const auto keys = numbered(40);
  for (std::size_t i = 0; i < 40; i += 2) put(keys[i]);
  try {
    store_->load_all(keys, Deadline::in(0));
    ADD_FAILURE();
  } catch (const MissingKeys& missing) {
    EXPECT_THAT(missing.keys(), SizeIs(20));
    EXPECT_EQ(missing.keys()[0], "round/1");
  }
  EXPECT_EQ(looks(), 40U);
}

TEST_F(S3Wait, ASecondOfWaitingCostsLessThanSixtyRequests) {
  const auto keys = numbered(10);
  put(keys[9]);
  EXPECT_THROW(store_->load_all(keys, Deadline::in(1)), MissingKeys);
  EXPECT_THAT(looks(), AllOf(Ge(3U), Lt(60U)));
  for (const ScriptedRequest& heard : server_.requests())
    EXPECT_THAT(heard.target, Not(HasSubstr("list-type")));
}

TEST_F(S3Wait, KeysThatTrickleInCostLittleMore) {
  const auto keys = numbered(32);
  std::thread writer([&] {
    for (const std::string& key : keys) {
      put(key);
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  });
  const auto values = store_->load_all(keys, Deadline::in(60));
  writer.join();
  EXPECT_THAT(values, SizeIs(32));
  EXPECT_THAT(looks(), Lt(200U));
}

TEST_F(S3Wait, AServerThatHangsDoesNotHoldAWaitForLong) {
  ScriptedServer hanging(Script{{.delay_s = 600}});
  const Stopwatch clock;
  EXPECT_THROW(open(hanging)->load_or_wait("key", Deadline::in(0.1)), Error);
  EXPECT_LT(clock.seconds(), 30);
}

TEST_F(S3, ABatchIsSavedTogether) {
  ScriptedServer server([](const ScriptedRequest&) { return ScriptedAnswer{.delay_s = 0.01}; });
  std::vector<std::string> keys = numbered(20);
  std::vector<Item> items;
  for (const std::string& key : keys) items.push_back({key, as_bytes(key)});
  open(server)->save_all(items);
  EXPECT_THAT(server.requests(), SizeIs(20));
  EXPECT_GE(server.most_at_once(), 2);
}

TEST_F(S3, TriesAreCountedAsTheyAreSent) {
  ScriptedServer server(Script{fault(503, "SlowDown"), {.reset = true}, {.status = 200}});
  const auto meter = std::make_shared<Meter>();
  const auto store = with_meter(open(server, "s3://bucket/prefix"), meter);
  store->save("key", as_bytes("value"));
  EXPECT_EQ(meter->usage().put.requests, 3U);
  EXPECT_EQ(meter->usage().put.bytes, 15U);
}

}  // namespace
}  // namespace lambdaml::storage::s3
