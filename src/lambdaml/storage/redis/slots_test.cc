#include "lambdaml/storage/redis/slots.h"

#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include "lambdaml/base/error.h"
#include "lambdaml/storage/redis/protocol.h"

namespace lambdaml::storage::redis {
namespace {

TEST(RedisSlots, AreThoseOfTheSpecification) {
  EXPECT_EQ(slot_of("123456789"), 0x31c3);  // the specification's check of CRC-16
  EXPECT_EQ(slot_of("foo"), 12182);
  EXPECT_EQ(slot_of("bar"), 5061);
  EXPECT_EQ(slot_of("hello"), 866);
  EXPECT_EQ(slot_of(""), 0);
  EXPECT_EQ(slot_of("{user1000}.following"), slot_of("user1000"));
  EXPECT_EQ(slot_of("a{bar}{zap}"), slot_of("bar"));
  EXPECT_EQ(slot_of("a{{bar}}zap"), slot_of("{bar"));
  EXPECT_NE(slot_of("foo{}{bar}"), slot_of("bar"));
  EXPECT_NE(slot_of("foo{bar"), slot_of("bar"));
}

TEST(RedisSlots, RedirectionsAreRead) {
  const auto moved = redirection_in("MOVED 3999 127.0.0.1:6381");
  ASSERT_TRUE(moved);
  EXPECT_FALSE(moved->ask);
  EXPECT_EQ(moved->slot, 3999);
  EXPECT_EQ(moved->target, (Endpoint{"127.0.0.1", 6381}));
  EXPECT_TRUE(redirection_in("ASK 1 ::1:7000")->ask);
  EXPECT_EQ(redirection_in("ASK 1 ::1:7000")->target, (Endpoint{"::1", 7000}));
  EXPECT_EQ(redirection_in("MOVED 1 :7000")->target, (Endpoint{"", 7000}));
  for (const char* other : {"ERR no", "MOVED", "MOVED 1", "MOVED x h:1", "MOVED 16384 h:1",
                            "MOVED 1 h:0", "MOVED 1 h:65536", "MOVED 1 h", "ASKING"})
    EXPECT_FALSE(redirection_in(other)) << other;
}

Reply number(std::int64_t n) {
  Reply reply;
  reply.kind = Reply::Kind::integer;
  reply.integer = n;
  return reply;
}
Reply text(std::string of) {
  Reply reply;
  reply.kind = Reply::Kind::text;
  reply.text = std::move(of);
  return reply;
}
Reply list(std::vector<Reply> of) {
  Reply reply;
  reply.kind = Reply::Kind::list;
  reply.list = std::move(of);
  return reply;
}

TEST(RedisSlots, ATableNamesThePrimaries) {
  const Reply one = list({text("one"), number(1), text("id"), list({})});
  const Reply nameless = list({Reply(), number(2), text("id")});
  const SlotTable table = slot_table_of(
      list({list({number(0), number(9), one, nameless}), list({number(10), number(10), nameless}),
            list({number(20), number(20), one})}),
      "asked");
  EXPECT_THAT(table.primaries, testing::ElementsAre(Endpoint{"one", 1}, Endpoint{"asked", 2}));
  EXPECT_EQ(table.owner[9], 0);
  EXPECT_EQ(table.owner[10], 1);
  EXPECT_EQ(table.owner[20], 0);
  EXPECT_EQ(table.owner[11], SlotTable::kNobody);
  for (const Reply& strange :
       {text("OK"), list({number(1)}), list({list({number(0), number(16384), one})}),
        list({list({number(0), number(1), list({})})}),
        list({list({number(0), number(1), list({text("h"), number(70000)})})})})
    EXPECT_THROW(slot_table_of(strange, "asked"), Error);
}

}  // namespace
}  // namespace lambdaml::storage::redis
