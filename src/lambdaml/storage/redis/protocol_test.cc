#include "lambdaml/storage/redis/protocol.h"

#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "lambdaml/storage/redis/slots.h"

namespace lambdaml::storage::redis {
namespace {

std::string bytes_of(const Request& request) {
  std::string out;
  for (const iovec& piece : request.pieces())
    out.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
  return out;
}

TEST(RedisRequest, IsWrittenAsTheProtocolWantsIt) {
  Request request;
  request.add({"GET", "a b"});
  request.add({"SET", "k", std::string_view("\0\r\n", 3)});
  using std::string_literals::operator""s;
  EXPECT_EQ(bytes_of(request),
            "*2\r\n$3\r\nGET\r\n$3\r\na b\r\n"
            "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\n\0\r\n\r\n"s);
  EXPECT_EQ(request.pieces().size(), 1U);
}

TEST(RedisRequest, DoesNotCopyLongArguments) {
  const std::string value(100'000, 'v');
  Request request;
  request.add({"SET", "k", value});
  request.add({"SET", "l", value, "NX"});
  const std::string head = "$3\r\nSET\r\n$1\r\n";
  EXPECT_EQ(bytes_of(request), "*3\r\n" + head + "k\r\n$100000\r\n" + value + "\r\n*4\r\n" + head +
                                   "l\r\n$100000\r\n" + value + "\r\n$2\r\nNX\r\n");
  ASSERT_EQ(request.pieces().size(), 5U);
  EXPECT_EQ(request.pieces()[1].iov_base, value.data());
  EXPECT_EQ(request.pieces()[3].iov_base, value.data());
}

TEST(RedisReplies, ErrorsBeginWithAWordInCapitals) {
  for (const char* error : {"ERR no", "WRONGTYPE", "NOAUTH Authentication required."})
    EXPECT_TRUE(is_error_reply(error)) << error;
  for (const char* other : {"", "1", "-1", "E", "Err no", "OK\r", " ERR"})
    EXPECT_FALSE(is_error_reply(other)) << other;
}

TEST(RedisReplies, ErrorsHaveCodes) {
  EXPECT_EQ(code_of_reply("NOAUTH Authentication required."), Code::permission_denied);
  EXPECT_EQ(code_of_reply("WRONGPASS invalid"), Code::permission_denied);
  EXPECT_EQ(code_of_reply("NOPERM this user"), Code::permission_denied);
  EXPECT_EQ(code_of_reply("OOM command not allowed"), Code::resource_exhausted);
  for (const char* word : {"LOADING", "BUSY", "MASTERDOWN", "TRYAGAIN", "READONLY"})
    EXPECT_EQ(code_of_reply(word), Code::unavailable);
  EXPECT_EQ(code_of_reply("ERR max number of clients reached"), Code::unavailable);
  EXPECT_EQ(code_of_reply("OOMPH"), Code::internal);
  EXPECT_EQ(code_of_reply(""), Code::internal);
}

TEST(RedisPatterns, EscapeWhatMeansSomething) {
  EXPECT_EQ(glob_escaped("a/b.c"), "a/b.c");
  EXPECT_EQ(glob_escaped("a*?[x-y^]\\"), "a\\*\\?\\[x\\-y\\^\\]\\\\");
}

TEST(RedisChannels, AreThoseOfTheFolder) {
  EXPECT_EQ(channel_of(0, "job/v/12-3"), "lambdaml:0:job/v");
  EXPECT_EQ(channel_of(0, "job/v/13-1"), channel_of(0, "job/v/12-3"));
  EXPECT_NE(channel_of(1, "job/v/12-3"), channel_of(0, "job/v/12-3"));
  EXPECT_EQ(channel_of(2, "key"), "lambdaml:2:");
  // A sharded one is in the slot of its tag, whatever the folder's name.
  EXPECT_EQ(channel_of(0, "{job}/v/12-3", "42"), "lambdaml:{42}:0:{job}/v");
  EXPECT_EQ(slot_of(channel_of(0, "{job}/v/12-3", "42")), slot_of("42"));
}

}  // namespace
}  // namespace lambdaml::storage::redis
