#include "lambdaml/base/uri.h"

#include <cstdlib>
#include <filesystem>

#include <gmock/gmock.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/testing/testing.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/unique_id.h"

namespace lambdaml {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(Uri, PartsAndTextRoundTrip) {
  const Uri s3 = Uri::parse("s3://bucket/a/b%20c/");
  EXPECT_EQ(s3.scheme, "s3");
  EXPECT_EQ(s3.host, "bucket");
  EXPECT_EQ(s3.path, "a/b%20c");
  EXPECT_EQ(Uri::parse(s3.text()), s3);
  EXPECT_EQ(s3.name(), "b%20c");
  EXPECT_EQ(s3.parent().text(), "s3://bucket/a");
  const Uri redis = Uri::parse("redis://:secret@host:6379/0?timeout=3");
  EXPECT_EQ(redis.port, 6379);
  EXPECT_EQ(redis.query.at("timeout"), "3");
  EXPECT_EQ(Uri::parse(redis.text()), redis);
}

TEST(Uri, SeveralHostsStayTogether) {
  for (const char* text : {"m://a:1,b:2/p", "m://a:1,b/p", "m://a,b:2", "m://[::1]:5,[::2]"})
    EXPECT_EQ(Uri::parse(text).text(), text);
  EXPECT_EQ(Uri::parse("m://a:1,b:2/p").host, "a:1,b");
  EXPECT_EQ(Uri::parse("m://a:1,b:2/p").port, 2);
  EXPECT_EQ(Uri::parse("m://a:1,b/p").host, "a:1,b");
  EXPECT_FALSE(Uri::parse("m://a:1,b/p").port.has_value());
  EXPECT_THROW(Uri::parse("m://a:1,b:x"), Error);
}

TEST(Uri, ArnsAreNamedAsSuch) {
  for (const std::string arn :
       {"arn:aws:s3:::bucket/prefix", "arn:aws:s3:eu-west-1:123456789012:accesspoint/a",
        "arn:aws-cn:s3:::bucket"})
    for (const std::string& text : {arn, "s3://" + arn, "s3://" + arn + "?region=eu-west-1"}) {
      const std::string why = error_of([&] { Uri::parse(text); });
      EXPECT_THAT(why, HasSubstr(arn + "' is an ARN")) << text;
      EXPECT_THAT(why, HasSubstr("s3://NAME?region=REGION")) << text;
      EXPECT_THAT(why, testing::Not(HasSubstr("port"))) << text;
    }
  const std::string table = "arn:aws:dynamodb:us-east-1:123456789012:table/t";
  EXPECT_THAT(error_of([&] { Uri::parse("dynamodb://" + table); }), HasSubstr("dynamodb://NAME"));
  EXPECT_EQ(Uri::parse("./arn:aws:x").scheme, "file");
  EXPECT_EQ(Uri::parse("redis://arn:80").port, 80);
}

TEST(Uri, SlipsInAUriAreNoFiles) {
  const std::pair<const char*, const char*> cases[] = {
      {"s3:bkt/k", "s3://bkt/k"},
      {"s3:/bkt/k", "s3://bkt/k"},
      {"s3//bkt/k", "s3://bkt/k"},
      {"S3:bkt", "s3://bkt"},
      {"s3:", "s3://"},
      {"file:/tmp/x", "file:///tmp/x"},
      {"file:x", "mean x?"},
      {"memcached:/h", "memcached://h"},
      {"ps:/h", "ps://h"},
      {"redis:/localhost", "redis://localhost"},
      {"redis:h:1/0", "redis://h:1/0"},
      {"redis:6379", "redis://HOST:6379"},
      {"gs:/bucket/k", "gs://bucket/k"},
      {"127.0.0.1:6379", "redis://127.0.0.1:6379"},
      {"127.0.0.1:9000/x", "SCHEME://127.0.0.1:9000/x"},
      {"localhost:6379", "redis://localhost:6379"},
      {"[::1]:11211", "memcached://[::1]:11211"},
      {"cache.example.com:6379/0", "redis://cache.example.com:6379/0"},
      {"myhost:27000", "ps://myhost:27000"}};
  for (const auto& [text, meant] : cases) {
    const std::string why = error_of([&, text = text] { Uri::parse(text); });
    EXPECT_THAT(why, HasSubstr(meant)) << text;
    EXPECT_THAT(why, HasSubstr(std::string("./") + text)) << text;
    EXPECT_EQ(Uri::parse(std::string("./") + text).scheme, "file");
    EXPECT_EQ(Uri::parse(std::string("/") + text).scheme, "file");
  }
  for (const char* text : {"redis:u:hunter2@h/0", "redis:/:hunter2@h", "u:hunter2@h:6379"}) {
    const std::string why = error_of([&] { Uri::parse(text); });
    EXPECT_THAT(why, HasSubstr("://***@h")) << text;
    EXPECT_THAT(why, testing::Not(HasSubstr("hunter2"))) << text;
  }
}

TEST(Uri, LocalNamesWithAColonStayUsable) {
  for (const char* name :
       {"run-12:30", "run:1", "2026-11-30T12:30:00", "12:30", "a/s3:b", "results//x", "data:v2/x",
        "s3", "s3/x", "redis/0", "1.2.3:4", "x:y:z", ":a", "sim/x", "~/s3:x"})
    EXPECT_EQ(Uri::parse(name).scheme, "file") << name;
  const std::string there = "s3:" + unique_id();
  EXPECT_THROW(Uri::parse(there), Error);
  std::filesystem::create_directory(there);
  EXPECT_EQ(Uri::parse(there).path, (std::filesystem::current_path() / there).string());
  EXPECT_EQ(Uri::parse(there + "?shared=1").query.at("shared"), "1");
  std::filesystem::remove(there);
}

TEST(Uri, PathsAreFiles) {
  EXPECT_EQ(Uri::parse("/tmp/x/../y").text(), "file:///tmp/y");
  EXPECT_EQ(Uri::parse("file:///a/b/").path, "/a/b");
  EXPECT_EQ((Uri::parse("/a") / "b").text(), "file:///a/b");
  EXPECT_TRUE(Uri::parse("some.file").path.starts_with('/'));
}

TEST(Uri, KeepsTheBytesOfAPathInItsText) {
  for (const std::string path :
       {"/tmp/\xff", "/tmp/caf\xe9 100%25/a?b", "/x?encoded=1", "/x?shared=1/y?shared=1",
        "/x?watch=1", "/\xc3\xa9\xff/\xe2\x82", "/\xff?encoded=1&shared=1"}) {
    Uri uri = Uri::parse("/");
    uri.path = path;
    EXPECT_TRUE(is_utf8(uri.text())) << uri.text();
    EXPECT_EQ(Uri::parse(uri.text()), uri) << uri.text();
    uri.query["shared"] = "1";
    EXPECT_EQ(Uri::parse(uri.text()), uri) << uri.text();
  }
  EXPECT_EQ(Uri::parse("/tmp/a\xff").text(), "file:///tmp/a%FF?encoded=1");
  EXPECT_EQ(Uri::parse("/tmp/a\xff").display(), "file:///tmp/a%FF?encoded=1");
  EXPECT_EQ(utf8_path("/tmp/a\xff"), "file:///tmp/a%FF?encoded=1");
  EXPECT_EQ(utf8_path("runs/caf\xc3\xa9"), "runs/caf\xc3\xa9");
  // The texts of other paths are as they were.
  EXPECT_EQ(Uri::parse("/tmp/100%41/caf\xc3\xa9").text(), "file:///tmp/100%41/caf\xc3\xa9");
  EXPECT_EQ(Uri::parse("file:///tmp/100%41").path, "/tmp/100%41");
  EXPECT_EQ(path_of_file_uri("file:///tmp/a%FF?encoded=1"), "/tmp/a\xff");
  EXPECT_EQ(path_of_file_uri("runs/a"), "runs/a");
  EXPECT_THROW(Uri::parse("file:///tmp/100%?encoded=1"), Error);
  EXPECT_THROW(Uri::parse("s3://bucket/a\xff"), Error);
}

TEST(Uri, ALeadingTildeIsTheHome) {
  const char* home = std::getenv("HOME");
  ASSERT_NE(home, nullptr);
  EXPECT_EQ(Uri::parse("~/x.libsvm").path, (std::filesystem::path(home) / "x.libsvm").string());
  EXPECT_EQ(Uri::parse("~").path, Uri::parse(home).path);
  EXPECT_TRUE(Uri::parse("./~/x").path.ends_with("/~/x"));
  EXPECT_TRUE(Uri::parse("~user/x").path.ends_with("/~user/x"));
  EXPECT_EQ(Uri::parse("file:///~/x").path, "/~/x");
}

TEST(Uri, SecretsAreMasked) {
  EXPECT_EQ(Uri::parse("redis://user:hunter2@host/0").display(), "redis://***@host/0");
  EXPECT_EQ(Uri::parse("redis://:p@ss@host/0").display(), "redis://***@host/0");
  EXPECT_EQ(Uri::parse("s3://bucket/a@b").display(), "s3://bucket/a@b");
  EXPECT_EQ(Uri::parse("redis://h/0?password=p&timeout=3").display(),
            "redis://h/0?password=***&timeout=***");
  // Passwords with characters that should have been escaped, or whose host is missing.
  for (const char* bad :
       {"redis://user:hunter2@host:99999/0", "redis://u:hun/hunter2@host:1",
        "redis://u:hunter2?x@host:1", "redis://u:hunter2", "redis://u:hunter2/0"}) {
    try {
      Uri::parse(bad);
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find("hunter2"), std::string::npos) << error.what();
      EXPECT_EQ(error.code(), Code::invalid_argument);
      continue;
    }
    EXPECT_EQ(Uri::parse(bad).display().find("hunter2"), std::string::npos) << bad;
  }
}

TEST(Uri, ASlipTellsNoSecrets) {
  for (const char* slip : {"s3:bucket/x?secret_key=hunter2", "redis:hunter2@host",
                           "redis:/user:hunter2@host/0?password=hunter2"})
    EXPECT_THAT(error_of([&] { Uri::parse(slip); }),
                AllOf(HasSubstr("is no URI"), Not(HasSubstr("hunter2"))))
        << slip;
}

TEST(Uri, OfAPathOnlySharedIsAQuery) {
  const Uri shared = Uri::parse("file:///srv/team?shared=1");
  EXPECT_EQ(shared.path, "/srv/team");
  EXPECT_EQ(shared.query.at("shared"), "1");
  EXPECT_EQ(Uri::parse(shared.text()), shared);
  EXPECT_EQ((shared / "a").text(), "file:///srv/team/a?shared=1");
  EXPECT_EQ(shared.parent().text(), "file:///srv?shared=1");
  EXPECT_EQ(shared.display(), "/srv/team");
  EXPECT_EQ(Uri::parse("/srv/team?shared=1"), shared);
  const Uri both = Uri::parse("file:///srv/team?shared=1&watch=poll");
  EXPECT_EQ(both.path, "/srv/team");
  EXPECT_EQ(both.query.at("shared"), "1");
  EXPECT_EQ(both.query.at("watch"), "poll");
  EXPECT_EQ(Uri::parse(both.text()), both);
  EXPECT_EQ(Uri::parse("/srv/team?watch=poll").query.at("watch"), "poll");
  for (const char* name : {"/a/what?", "/a/b?c=d", "/a?shared=1/b", "/a?watch=1&c=d", "/a?watch"}) {
    EXPECT_EQ(Uri::parse(name).path, name);
    EXPECT_TRUE(Uri::parse(name).query.empty());
  }
}

TEST(Uri, BadOnesAreRefused) {
  for (const char* bad : {"", "://x", "1s3://b", "s3://h:0/x", "file://host/x", "s3://b/x?novalue"})
    EXPECT_THROW(Uri::parse(bad), Error) << bad;
}

TEST(Uri, PercentsAreDecoded) {
  EXPECT_EQ(percent_decoded("a%2Fb%2fc%41"), "a/b/cA");
  EXPECT_EQ(percent_decoded(""), "");
  for (const char* text : {"%", "a%4", "%4g", "%g4", "100%"}) {
    EXPECT_FALSE(percent_decoded(text)) << text;
    EXPECT_EQ(percent_decoded_leniently(text), text);
  }
  EXPECT_EQ(percent_decoded_leniently("%%41%"), "%A%");
}

}  // namespace
}  // namespace lambdaml
