#include <atomic>

#include <gmock/gmock.h>

#include "lambdaml/storage/memcached/address.h"
#include "lambdaml/storage/memcached/names.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/storage/testing/raw_server.h"

namespace lambdaml::storage::memcached {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

Address parsed(std::string_view uri) { return address_of(Uri::parse(uri)); }

TEST(MemcachedAddress, NamesOneServerOrSeveral) {
  EXPECT_THAT(parsed("memcached://cache").servers, ElementsAre(Address::Server{"cache", 11211}));
  EXPECT_THAT(parsed("memcached://cache:1234/p").servers,
              ElementsAre(Address::Server{"cache", 1234}));
  EXPECT_THAT(
      parsed("memcached://a:1,b,c:3/p/q").servers,
      ElementsAre(Address::Server{"a", 1}, Address::Server{"b", 11211}, Address::Server{"c", 3}));
  EXPECT_THAT(parsed("memcached://a:1,b").servers,
              ElementsAre(Address::Server{"a", 1}, Address::Server{"b", 11211}));
  EXPECT_THAT(parsed("memcached://[::1]:5,[::2]").servers,
              ElementsAre(Address::Server{"::1", 5}, Address::Server{"::2", 11211}));
  EXPECT_EQ(parsed("memcached://a:1,b,c:3/p/q").prefix, "p/q");
  EXPECT_EQ(parsed("memcached://a").prefix, "");
}

TEST(MemcachedAddress, ShowsItsEndpoint) {
  EXPECT_EQ(parsed("memcached://a:1,b/p").endpoint(), "memcached://a:1,b:11211");
  EXPECT_EQ(parsed("memcached://[::1]:5").endpoint(), "memcached://[::1]:5");
}

TEST(MemcachedAddress, RefusesWhatItDoesNotKnow) {
  for (const char* uri :
       {"memcached://", "memcached://a,,b", "memcached://a:0,b:1", "memcached://a:x,b",
        "memcached://a:70000,b", "memcached://user@a", "memcached://:pw@a", "memcached://user:@a",
        "memcached://a?x=1", "memcached://a?ca=/etc/passwd", "memcacheds://a?ca=/no/such/file"}) {
    try {
      parsed(uri);
      ADD_FAILURE() << uri;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::invalid_argument) << uri;
      EXPECT_THAT(error.what(), Not(HasSubstr("pw"))) << uri;
    }
  }
}

TEST(MemcachedAddress, HasAUserAndTls) {
  const Address address = parsed("memcacheds://ann:p%40ss%3aw@a:1,b/p");
  EXPECT_TRUE(address.tls);
  EXPECT_EQ(address.user, "ann");
  EXPECT_EQ(address.password, "p@ss:w");
  EXPECT_THAT(address.servers, ElementsAre(Address::Server{"a", 1}, Address::Server{"b", 11211}));
  EXPECT_EQ(address.endpoint(), "memcacheds://a:1,b:11211");
  EXPECT_FALSE(parsed("memcached://a").tls);
}

TEST(MemcachedAnswers, OfAServiceWithoutStatisticsMeanTheUsualLimit) {
  const RawServer server([&](std::string_view request) -> std::string {
    return request.starts_with("stats") ? "ERROR\r\n" : "END\r\n";
  });
  const auto store = open_plain(Uri::parse(fmt::format("memcached://127.0.0.1:{}", server.port())));
  EXPECT_FALSE(store->load("absent"));
  EXPECT_LE(store->capabilities().max_value_bytes, 1U << 20);
}

TEST(MemcachedNames, KeepKeysReadable) {
  EXPECT_EQ(item_of_key("job/v/12-3"), "lambdaml=job/v/12-3");
  EXPECT_EQ(item_of_key("a b%20"), "lambdaml=a%20b%2520");
  EXPECT_EQ(item_of_key("日本"), "lambdaml=日本");
  EXPECT_EQ(item_of_folder("a b"), "lambdaml/a%20b");
  EXPECT_NE(item_of_folder("a"), item_of_key("a"));
  EXPECT_FALSE(is_hashed(item_of_key(std::string(200, 'k'))));
}

TEST(MemcachedNames, HashWhatIsTooLong) {
  const std::string one = std::string(99, ' ') + "1";
  const std::string two = std::string(99, ' ') + "2";
  EXPECT_TRUE(is_hashed(item_of_key(one)));
  EXPECT_EQ(item_of_key(one), item_of_key(one));
  EXPECT_NE(item_of_key(one), item_of_key(two));
  EXPECT_NE(item_of_key(one), item_of_folder(one));
  EXPECT_LE(item_of_key(one).size(), 250U);
}

TEST(MemcachedNames, HashedValuesNameTheirKeys) {
  const Buffer value = framed("key", as_bytes("value"));
  EXPECT_EQ(as_text(unframed("key", value)), "value");
  EXPECT_EQ(unframed("key", framed("key", {})).size(), 0U);
  EXPECT_THROW(unframed("kez", value), Error);
  EXPECT_THROW(unframed("ke", value), Error);
  EXPECT_THROW(unframed("key", {}), Error);
  EXPECT_THROW(unframed("key", value.view().first(3)), Error);
}

TEST(MemcachedAnswers, ThatComeTwiceAreNotTheNextOnes) {
  // The whole answer, or its end.
  for (const std::string& more : {std::string("END\r\n"), std::string("D\r\n")}) {
    std::atomic<int> loads{0};
    const RawServer server([&](std::string_view request) -> std::string {
      if (request.starts_with("stats")) return "STAT item_size_max 1048576\r\nEND\r\n";
      return ++loads == 1 ? "END\r\n" + more : "END\r\n";
    });
    const auto store =
        open_plain(Uri::parse(fmt::format("memcached://127.0.0.1:{}", server.port())));
    EXPECT_FALSE(store->load("absent"));
    try {
      store->load("key");
      ADD_FAILURE() << "nothing was thrown";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::unavailable) << error.what();
      EXPECT_THAT(error.what(), HasSubstr("more than it was asked for"));
    }
    EXPECT_FALSE(store->load("key"));
  }
}

TEST(MemcachedAnswers, ThatClaimWhatCannotBeAreRefused) {
  const std::string settings = "STAT item_size_max 1048576\r\nEND\r\n";
  for (const std::string line :
       {"VALUE key 0 18446744073709551615 1\r\n", "VALUE key 0 9223372036854775807 1\r\n",
        "VALUE key 0 -1 1\r\n", "VALUE key 0 99999999999 1\r\n", "VALUE key 0 x 1\r\n",
        "VALUE key 0 3 x\r\nabc\r\nEND\r\n", "VALUE key\r\n", "VALUE\r\n", "\r\n"}) {
    const RawServer server([&](std::string_view request) {
      return request.starts_with("stats") ? settings : line + "END\r\n";
    });
    try {
      const auto store =
          open_plain(Uri::parse(fmt::format("memcached://127.0.0.1:{}", server.port())));
      store->load("key");
      ADD_FAILURE() << "nothing was thrown for " << line;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::unavailable) << line << error.what();
    }
  }
}

}  // namespace
}  // namespace lambdaml::storage::memcached
