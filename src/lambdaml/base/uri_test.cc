#include "lambdaml/base/uri.h"

#include <gtest/gtest.h>

#include "lambdaml/base/error.h"

namespace lambdaml {
namespace {

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

TEST(Uri, PathsAreFiles) {
  EXPECT_EQ(Uri::parse("/tmp/x/../y").text(), "file:///tmp/y");
  EXPECT_EQ(Uri::parse("file:///a/b/").path, "/a/b");
  EXPECT_EQ((Uri::parse("/a") / "b").text(), "file:///a/b");
  EXPECT_TRUE(Uri::parse("some.file").path.starts_with('/'));
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
  EXPECT_EQ(without_secrets("redis://u:hunter2@h/job.yaml"), "redis://***@h/job.yaml");
  EXPECT_EQ(without_secrets("runs/a@b"), "runs/a@b");
}

TEST(Uri, APasswordCanBeLeftOut) {
  const auto kept = [](const char* text) { return Uri::parse(text).without_password().text(); };
  EXPECT_EQ(kept("redis://user:hunter2@host:7000/0/jobs"), "redis://user@host:7000/0/jobs");
  EXPECT_EQ(kept("redis://:p@ss@host/0"), "redis://host/0");
  EXPECT_EQ(kept("s3://bucket/a@b"), "s3://bucket/a@b");
}

TEST(Uri, BadOnesAreRefused) {
  for (const char* bad : {"", "://x", "1s3://b", "s3://h:0/x", "file://host/x", "s3://b/x?novalue"})
    EXPECT_THROW(Uri::parse(bad), Error) << bad;
}

}  // namespace
}  // namespace lambdaml
