#include <map>
#include <set>

#include <gmock/gmock.h>

#include "lambdaml/base/service/answers.h"
#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/s3/digest.h"
#include "lambdaml/storage/s3/transfer.h"
#include "lambdaml/storage/testing/conformance.h"
#include "lambdaml/storage/testing/scripted_s3.h"

/// What a real server does is tested against one, in tests/integration; here is what none does when
/// it is asked to.
namespace lambdaml::storage::s3 {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

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

TEST_F(S3, ATemporaryRedirectionIsFollowedToTheSameDomain) {
  std::string to;
  ScriptedServer server([&](const ScriptedRequest& heard) -> ScriptedAnswer {
    if (heard.header("host").starts_with("elsewhere")) return absent();
    return {.status = 307, .headers = {{"location", to + heard.target}}};
  });
  const std::string local = "localhost:" + std::to_string(server.port());
  const auto store = open_plain(Uri::parse("s3://bucket?endpoint=http://" + local));
  to = "http://elsewhere." + local;
  EXPECT_FALSE(store->load("key"));
  ASSERT_THAT(server.requests(), SizeIs(2));
  EXPECT_EQ(server.requests()[1].header("host"), "elsewhere." + local);
  EXPECT_EQ(server.requests()[1].target, "/bucket/key");
  for (const std::string& other :
       {std::string("http://example.org"), "https://elsewhere." + local,
        std::string("http://elsewhere.localhost:1"), std::string("nonsense")}) {
    to = other;
    EXPECT_EQ(thrown_by([&] { store->load("key"); }).first, Code::invalid_argument) << other;
  }
}

TEST_F(S3, APublicBucketIsReadWithoutCredentials) {
  ScriptedServer server(
      [](const ScriptedRequest& heard) -> ScriptedAnswer { return object(heard, "value"); });
  for (const char* name : {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"})
    environment_.set(name, "");
  const auto store = open_plain(Uri::parse("s3://bucket?anonymous=1&endpoint=" + server.url()));
  EXPECT_EQ(store->load("key")->text(), "value");
  EXPECT_EQ(server.requests()[0].header("authorization"), "");
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

TEST_F(S3, AnErrorDocumentOfS3IsAMarkToo) {
  ScriptedServer server(
      Script{{.status = 404, .body = "<Error><Code>NoSuchKey</Code></Error>", .marked = false}});
  EXPECT_FALSE(open(server)->load("key"));
  EXPECT_THAT(server.requests(), SizeIs(1));
}

/// Servers that send none of Amazon's headers.
TEST_F(S3, AnswersAreKnownByWhatNoPortalSendsToo) {
  constexpr const char* kEtag = "\"2063c1608d6e0baf80249c42e2be5804\"";  // MD5 of "value"
  std::set<std::string> there;
  ScriptedServer server([&](const ScriptedRequest& heard) -> ScriptedAnswer {
    ScriptedAnswer out;
    if (heard.method == "PUT") {
      there.insert(heard.target);
      out.headers = {{"etag", kEtag}};
    } else if (heard.method == "DELETE") {
      there.erase(heard.target);
      out.status = 204;
    } else if (heard.target.find("list-type") != std::string::npos) {
      out.body = "<?xml version=\"1.0\"?><ListBucketResult/>";
    } else if (heard.method == "POST") {
      out.body = "<DeleteResult/>";
    } else if (!there.contains(heard.target)) {
      out = absent();
      if (heard.method == "HEAD") out.body.clear();
    } else {
      out = heard.method == "HEAD" ? out : object(heard, "value");
      out.headers.emplace_back("etag", kEtag);
    }
    out.marked = false;
    return out;
  });
  const auto store = open(server);
  std::size_t requests = 0;
  const auto expect_one = [&](const char* what) {
    EXPECT_THAT(server.requests(), SizeIs(++requests)) << what;
  };
  store->save("key", as_bytes("value"));
  expect_one("save");
  EXPECT_EQ(store->load("key")->text(), "value");
  expect_one("load");
  EXPECT_TRUE(store->exists("key"));
  expect_one("exists");
  EXPECT_FALSE(store->exists("absent"));
  ++requests;  // a GET, as the answer to a HEAD has no document
  expect_one("exists not");
  EXPECT_TRUE(store->create("new", as_bytes("value")));
  expect_one("create");
  EXPECT_TRUE(store->list("").empty());
  expect_one("list");
  store->remove("key");
  expect_one("remove");
  store->remove_all(std::vector<std::string>{"a", "b"});
  expect_one("remove_all");
}

/// Google Cloud Storage often sends no other mark than this.
TEST_F(S3, GooglesAnswersAreKnown) {
  ScriptedServer server(Script{{.headers = {{"x-guploader-uploadid", "AB"}}, .marked = false}});
  open(server)->save("key", as_bytes("value"));
  EXPECT_THAT(server.requests(), SizeIs(1));
}

TEST_F(S3, WhatAPortalSendsIsNoMark) {
  const std::string page = "<html>Please log in</html>";
  for (const ScriptedAnswer& foreign :
       {ScriptedAnswer{.status = 204, .marked = false},
        ScriptedAnswer{.headers = {{"content-type", "text/html; charset=utf-8"},
                                   {"etag", "\"2063c1608d6e0baf80249c42e2be5804\""}},
        .body = page,
        .marked = false},
        ScriptedAnswer{.headers = {{"etag", "\"5e8f-264\""}}, .marked = false},
        ScriptedAnswer{.headers = {{"etag", "W/\"2063c1608d6e0baf80249c42e2be5804\""}},
        .marked = false},
        ScriptedAnswer{.body = "<ListBucketResult>", .marked = false}}) {
    ScriptedServer server(Script{foreign});
    const auto store = open(server);
    for (const bool saves : {true, false}) {
      const auto [code, why] = thrown_by([&] {
        if (saves)
          store->save("key", as_bytes("value"));
        else
          store->load("key");
      });
      EXPECT_EQ(code, Code::unavailable) << foreign.status << foreign.body;
      EXPECT_THAT(why, HasSubstr("something else answers there"));
    }
  }
}

TEST_F(S3, WhatAServerDoesNotSupportIsFinal) {
  for (const ScriptedAnswer& refusal :
       {fault(501, "NotImplemented"), fault(501, ""),
        ScriptedAnswer{.status = 501, .body = "nope", .marked = false}}) {
    ScriptedServer server(Script{refusal});
    const auto store = with_retry(open(server));
    std::size_t requests = 0;
    const auto expect_final = [&](auto call, const char* says) {
      const auto [code, message] = thrown_by(call);
      EXPECT_EQ(code, Code::invalid_argument) << message;
      EXPECT_THAT(message, HasSubstr(says));
      EXPECT_THAT(server.requests(), SizeIs(++requests)) << "it was tried again";
    };
    expect_final([&] { store->load("key"); }, "docs/reference/channels.md");
    ++requests;  // once more, without the checksum that the server may lack
    expect_final([&] { store->save("key", {}); }, "docs/reference/channels.md");
    expect_final([&] { store->remove("key"); }, "docs/reference/channels.md");
    expect_final([&] { store->list("key"); }, "docs/reference/channels.md");
    expect_final([&] { store->create("key", {}); }, "If-None-Match");
    expect_final([&] { require_atomic_create(*store, "this test"); }, "this test needs");
    const std::string advice = thrown_by([&] { store->create("key", {}); }).second;
    EXPECT_THAT(advice, HasSubstr("choose another store, or a server that has them"));
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

TEST_F(S3, TheServerChecksWhatItReceives) {
  ScriptedServer server(Script{{}});
  open(server)->save("key", {});
  // As awscrt 0.29 has it, which the AWS SDKs use: big-endian.
  EXPECT_EQ(server_checksum({}), "LQaABTjTlMI=");
  EXPECT_EQ(server.requests()[0].header(kServerChecksumHeader), "LQaABTjTlMI=");
}

TEST_F(S3, AServerThatDoesNotKnowTheChecksumIsAskedOnce) {
  for (const ScriptedAnswer& refusal : {fault(400, "InvalidRequest"), fault(400, "InvalidArgument"),
                                        fault(501, "NotImplemented")}) {
    ScriptedServer server([&](const ScriptedRequest& heard) -> ScriptedAnswer {
      if (!heard.header(kServerChecksumHeader).empty()) return refusal;
      EXPECT_FALSE(heard.header(kChecksumHeader).empty());
      return {};
    });
    const auto store = open(server);
    store->save("key", as_bytes("value"));
    EXPECT_TRUE(store->create("other", as_bytes("value")));
    open(server)->save_all(std::vector<Item>{{"a", as_bytes("value")}, {"b", as_bytes("value")}});
    EXPECT_THAT(server.requests(), SizeIs(5));
  }
}

TEST_F(S3, TheChecksumOfOthersIsVerified) {
  std::string sum = server_checksum(as_bytes("value"));
  ScriptedServer server([&](const ScriptedRequest& heard) -> ScriptedAnswer {
    return object(heard, "value", {{std::string(kServerChecksumHeader), sum}});
  });
  EXPECT_EQ(open(server)->load("key")->text(), "value");
  sum = server_checksum(as_bytes("other"));
  EXPECT_EQ(thrown_by([&] { open(server)->load("key"); }).first, Code::data_corrupt);
  sum += "-2";  // a checksum of the checksums of parts
  EXPECT_EQ(open(server)->load("key")->text(), "value");
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
