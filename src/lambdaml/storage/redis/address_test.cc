#include "lambdaml/storage/redis/address.h"

#include <gmock/gmock.h>

#include "lambdaml/base/error.h"
#include "lambdaml/storage/redis/iam.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::storage::redis {
namespace {

using testing::HasSubstr;
using testing::Not;

Address parsed(std::string_view uri, const char* password = nullptr) {
  return address_of(Uri::parse(uri), password);
}

TEST(RedisAddress, HasDefaults) {
  const Address address = parsed("redis://cache");
  EXPECT_EQ(address.server, (Endpoint{"cache", 6379}));
  EXPECT_FALSE(address.tls);
  EXPECT_EQ(address.ttl_s, 0);
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
  EXPECT_EQ(both.server, (Endpoint{"h", 1234}));
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
  EXPECT_EQ(parsed("redis://[::1]:7000/2").server.host, "::1");
  EXPECT_THAT(open("redis://ann:secret@h/2/p")->describe(), Not(HasSubstr("secret")));
}

TEST(RedisAddress, OfTlsHasTheSameParts) {
  const Address address = parsed("rediss://ann:secret@h:1234/2/p?ttl=3600");
  EXPECT_TRUE(address.tls);
  EXPECT_EQ(address.endpoint(), "rediss://h:1234/2");
  EXPECT_EQ(address.prefix, "p");
  EXPECT_EQ(address.ttl_s, 3600);
  EXPECT_EQ(parsed("redis://h?ttl=5").ttl_s, 5);
  try {
    parsed("rediss://h?ca=/no/such/ca.pem");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    EXPECT_THAT(error.what(), HasSubstr("/no/such/ca.pem: No such file"));
  }
  EXPECT_THROW(parsed("redis://h?ca=/etc/passwd"), Error);
  EXPECT_THROW(parsed("redis://h?ttl=-1"), Error);
}

TEST(RedisAddress, MayLogInByTheIdentityService) {
  const Address address = parsed("rediss://ann@h?iam=serverless:My-Cache", "unused");
  EXPECT_EQ(address.iam, "serverless:My-Cache");
  EXPECT_EQ(address.password, "");
  for (const char* uri : {"rediss://h?iam=cache:c", "rediss://ann:pw@h?iam=cache:c",
                          "rediss://ann@h?iam=other:c", "redis://ann@h?iam=cache:c"})
    EXPECT_THROW(parsed(uri), Error) << uri;
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

// The signatures are those of botocore 1.43 (SigV4QueryAuth) for the same request.
TEST(RedisIam, TokensAreThoseOfBotocore) {
  const aws::Credentials keys{"AKIDEXAMPLE", "SECRETEXAMPLE", "TOKEN/+="};
  const WallTime now{std::chrono::seconds(1'369'353'600)};
  const std::string token =
      iam_token(parsed("rediss://ann@h?iam=serverless:My-Cache"), keys, "us-east-1", now);
  EXPECT_THAT(token, testing::StartsWith(
                         "my-cache/?Action=connect&ResourceType=ServerlessCache&User=ann&X-Amz-"));
  EXPECT_THAT(token,
              testing::EndsWith("&X-Amz-Signature=8be7b5adc4ee660a9a53a8892e0bd396ed11e0a674e6"
                                "eec2c94bffbbff0f7337"));
  EXPECT_THAT(
      iam_token(parsed("rediss://ann@h?iam=memorydb:c"), {"AKIDEXAMPLE", "SECRETEXAMPLE", ""},
                "eu-west-1", now),
      testing::EndsWith("&X-Amz-Signature=e58cc37d35936017dfc77591dc0d924484c8f21043c4d6d55de362d"
                        "ad19957e3"));
}

}  // namespace
}  // namespace lambdaml::storage::redis
