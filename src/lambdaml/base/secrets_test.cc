#include "lambdaml/base/secrets.h"

#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/options.h"

namespace lambdaml {
namespace {

TEST(Secrets, PasswordsAreLeftOutWhereverTheyStand) {
  const std::pair<const char*, const char*> cases[] = {
      {"redis://user:hunter2@host:7000/0/jobs", "redis://user@host:7000/0/jobs"},
      {"redis://:hun@ter2@host/0", "redis://host/0"},
      {"ps://:hunter2@host:27000?tls=1", "ps://host:27000?tls=1"},
      {"torchscript:redis://u:hunter2@h/0/net.pt", "torchscript:redis://u@h/0/net.pt"},
      {"redis://a:hunter2@h/0,redis://:hunter2@i", "redis://a@h/0,redis://i"},
      {"redis://a:hunter2@h,redis://b:hunter2@i", "redis://a@h,redis://b@i"},
      {"s3://b/p?endpoint=http://u:hunter2@h:9000&region=eu",
       "s3://b/p?endpoint=http://u@h:9000&region=eu"},
      // Malformed: with a slash or a question mark in the password, without a host.
      {"redis://u:hun/hunter2@host:1/x", "redis://u@host:1/x"},
      {"redis://u:hun?hunter2@host:1/x", "redis://u@host:1/x"},
      {"redis://u:hunter2", "redis://u"},
  };
  for (const auto& [value, kept] : cases) {
    EXPECT_EQ(without_passwords(value), kept);
    EXPECT_EQ(without_passwords(kept), kept) << "what is kept is kept again";
    EXPECT_EQ(without_secrets(value).find("hunter2"), std::string::npos) << without_secrets(value);
    EXPECT_EQ(masked(value).find("hunter2"), std::string::npos) << masked(value);
  }
}

TEST(Secrets, WhatHasNoneStaysAsItIs) {
  for (const char* value :
       {"", "lr", "valid_loss<=0.66", "/data/a@b:c", "file:///a@b", "s3://bucket/a@b", "file://",
        "redis://user@host:1/0", "memcached://a:1,b,c:3/p", "memcached://[::1]:5,[::2]/p",
        "dynamodb://t?endpoint=http://127.0.0.1:8000&region=eu&create=true", "://"})
    EXPECT_EQ(without_passwords(value), value);
}

TEST(Secrets, ASentenceIsLeftAsItIsButForThem) {
  EXPECT_EQ(redacted("saving to redis://u:hunter2@h:1/0 and ps://:hunter2@[::1]:2: lost"),
            "saving to redis://***@h:1/0 and ps://***@[::1]:2: lost");
  for (const char* text :
       {"redis://h:1: lost; ask admin@example.org", "s3://b/a@b is not there",
        "a Redis store is redis://[[user]:password@]host[:port]", "no :// at all", "x@y"})
    EXPECT_EQ(redacted(text), text);
}

TEST(Secrets, NoErrorHasOne) {
  const Error error(Code::internal, "line one\nof redis://u:hunter2@h/0\x1b[2J");
  EXPECT_STREQ(error.what(), "line one\\x0aof redis://***@h/0\\x1b[2J");
}

TEST(Secrets, AnyTextAmongOptionsIsKeptWithoutThem) {
  Options options({{.name = "a", .default_value = std::string(), .help = ""},
                   {.name = "b", .default_value = std::string("x"), .help = ""},
                   {.name = "n", .default_value = std::int64_t{1}, .help = ""}});
  options.set("a", std::string("redis://u:hunter2@h/0"), "test");
  options.set("n", std::int64_t{2}, "test");
  const Options kept = options.without_passwords();
  EXPECT_EQ(kept.text("a"), "redis://u@h/0");
  EXPECT_EQ(kept.integer("n"), 2);
  EXPECT_FALSE(kept.is_set("b"));
  EXPECT_EQ(options.text("a"), "redis://u:hunter2@h/0");
}

}  // namespace
}  // namespace lambdaml
