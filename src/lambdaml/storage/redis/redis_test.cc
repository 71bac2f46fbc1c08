#include <gmock/gmock.h>

#include "lambdaml/storage/redis/address.h"
#include "lambdaml/storage/redis/protocol.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/storage/testing/raw_server.h"

namespace lambdaml::storage::redis {
namespace {

using testing::HasSubstr;
using testing::Not;

Address parsed(std::string_view uri, const char* password = nullptr) {
  return address_of(Uri::parse(uri), password);
}

TEST(RedisAddress, HasDefaults) {
  const Address address = parsed("redis://cache");
  EXPECT_EQ(address.host, "cache");
  EXPECT_EQ(address.port, 6379);
  EXPECT_EQ(address.database, 0);
  EXPECT_EQ(address.user + address.password + address.prefix, "");
}

TEST(RedisAddress, TheFirstNumberInThePathIsTheDatabase) {
  EXPECT_EQ(parsed("redis://h/3").database, 3);
  EXPECT_EQ(parsed("redis://h/3").prefix, "");
  EXPECT_EQ(parsed("redis://h/3/a/b").database, 3);
  EXPECT_EQ(parsed("redis://h/3/a/b").prefix, "a/b");
  EXPECT_EQ(parsed("redis://h/3/4").prefix, "4");
  EXPECT_EQ(parsed("redis://h/a/3").database, 0);
  EXPECT_EQ(parsed("redis://h/a/3").prefix, "a/3");
  EXPECT_EQ(parsed("redis://h/3a").prefix, "3a");
  EXPECT_THROW(parsed("redis://h/99999999999999999999"), Error);
  EXPECT_THROW(parsed("redis://h/2147483648"), Error);
}

TEST(RedisAddress, UserAndPasswordAreDecoded) {
  const Address both = parsed("redis://ann:p%40ss%2Fw%3ard%zz%4@h:1234");
  EXPECT_EQ(both.user, "ann");
  EXPECT_EQ(both.password, "p@ss/w:rd%zz%4");
  EXPECT_EQ(both.host, "h");
  EXPECT_EQ(both.port, 1234);
  EXPECT_EQ(parsed("redis://:secret@h").user, "");
  EXPECT_EQ(parsed("redis://:secret@h").password, "secret");
  EXPECT_EQ(parsed("redis://:a@b@h").password, "a@b");
  EXPECT_EQ(parsed("redis://:s:t@h").password, "s:t");
}

TEST(RedisAddress, ThePasswordOfTheEnvironmentIsForUrisWithoutOne) {
  EXPECT_EQ(parsed("redis://h", "env").password, "env");
  EXPECT_EQ(parsed("redis://ann@h", "env").user, "ann");
  EXPECT_EQ(parsed("redis://ann@h", "env").password, "env");
  EXPECT_EQ(parsed("redis://:own@h", "env").password, "own");
}

TEST(RedisAddress, TheEndpointShowsNoSecrets) {
  EXPECT_EQ(parsed("redis://ann:secret@h/2/p").endpoint(), "redis://h:6379/2");
  EXPECT_EQ(parsed("redis://[::1]:7000/2").endpoint(), "redis://[::1]:7000/2");
  EXPECT_EQ(parsed("redis://[::1]:7000/2").host, "::1");
  EXPECT_THAT(open("redis://ann:secret@h/2/p")->describe(), Not(HasSubstr("secret")));
}

TEST(RedisAddress, RefusesWhatItDoesNotKnow) {
  for (const char* uri : {"redis://", "redis://:pw@", "redis://h/0?timeout=1"}) {
    try {
      parsed(uri);
      ADD_FAILURE() << uri;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::invalid_argument);
      EXPECT_THAT(error.what(), Not(HasSubstr("pw")));
    }
  }
}

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
}

Error error_of_list(const std::string& first, const std::string& forever) {
  const RawServer server("+OK\r\n" + first, forever);  // SELECT went well
  try {
    open_plain(Uri::parse(fmt::format("redis://127.0.0.1:{}", server.port())))->list("");
  } catch (const Error& error) {
    return error;
  }
  return Error(Code::internal, "nothing was thrown");
}

TEST(RedisReplies, HaveAnEnd) {
  const std::string page = "*2\r\n$1\r\n0\r\n";
  const std::string text(1000, 'x');
  for (const auto& [first, forever] :
       {std::pair(page + "*1000000\r\n", "$1000\r\n" + text + "\r\n"),
        std::pair(page + "*1\r\n$1000000000\r\n", text), std::pair(std::string("+"), text)}) {
    const Error error = error_of_list(first, forever);
    EXPECT_EQ(error.code(), Code::internal) << first;
    EXPECT_THAT(error.what(), HasSubstr("longer than any")) << first;
  }
  EXPECT_EQ(error_of_list(page + "*2000000000\r\n", text).code(), Code::resource_exhausted);
  EXPECT_EQ(error_of_list("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", "*1\r\n").code(),
            Code::unavailable);
}

}  // namespace
}  // namespace lambdaml::storage::redis
