// Sums: of rounds, running ones, the newest; what comes twice, too late, or never.
#include <atomic>
#include <thread>

#include <gmock/gmock.h>

#include "lambdaml/ps/testing/test_support.h"

namespace lambdaml::ps {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Part round_part(std::uint64_t round, std::uint32_t worker, std::uint32_t workers) {
  return {.id = "job/rounds",
          .kind = Kind::round,
          .round = round,
          .worker = worker,
          .workers = workers,
          .wait_ms = 20'000};
}

Part running_part(std::uint64_t round, std::uint32_t worker, std::uint32_t workers) {
  Part part = round_part(round, worker, workers);
  part.id = "job/running";
  part.kind = Kind::running;
  return part;
}

TEST(Rounds, AreSummedInWorkerOrderBitByBit) {
  const Server server(on_a_free_port());
  std::uint32_t job = 0;
  for (const std::uint32_t workers : {1U, 2U, 4U, 7U})
    for (const std::size_t n : {0U, 1U, 10U, 1000U, 300'001U}) {
      ++job;
      on_threads(workers, [&](std::uint32_t w) {
        Client client(address_of(server));
        for (std::uint64_t round = 0; round < 3; ++round) {
          Part part = round_part(round, w, workers);
          part.id = fmt::format("job-{}/rounds", job);
          part.retired = round;
          const Exchange got = exchange(client, part, numbers(round, w, n), {0.1 * w, 1.0});
          const std::vector<float> expected = sum_of(round, workers, n);
          if (got.sum.merged != workers || got.values.size() != n ||
              (n > 0 && std::memcmp(got.values.data(), expected.data(), n * sizeof(float)) != 0))
            fail(Code::internal, "a wrong sum");
          double totals = 0;
          for (std::uint32_t i = 0; i < workers; ++i) totals += 0.1 * i;
          if (got.totals != std::vector<double>{totals, 1.0 * workers})
            fail(Code::internal, "wrong totals");
        }
      });
    }
}

TEST(Rounds, CountAPushThatComesTwiceOnceAndKeepTheSumForWhoComesLate) {
  const Server server(on_a_free_port());
  Client zero(address_of(server));
  Client one(address_of(server));
  Part first = round_part(0, 0, 2);
  first.wait_ms = 0;
  EXPECT_THAT(exchange(zero, first, {1, 2}).sum.missing, ElementsAre(1));
  // The same worker again, by another attempt with other numbers: the first count.
  EXPECT_THAT(exchange(one, first, {100, 200}).sum.missing, ElementsAre(1));
  EXPECT_THAT(exchange(one, round_part(0, 1, 2), {10, 20}).values, ElementsAre(11, 22));
  EXPECT_THAT(exchange(zero, first, {7, 7}).values, ElementsAre(11, 22));
  // Whoever has pushed already need not send it again.
  Part again = round_part(0, 0, 2);
  again.again = true;
  EXPECT_THAT(exchange(zero, again, {}).values, ElementsAre(11, 22));
  again.round = 1;
  EXPECT_TRUE(exchange(zero, again, {}).sum.resend);
}

TEST(Rounds, AreDroppedOnceAllHaveRetiredThem) {
  const Server server(on_a_free_port());
  Client client(address_of(server));
  for (std::uint64_t round = 0; round < 4; ++round)
    for (const std::uint32_t w : {0U, 1U}) {
      Part part = round_part(round, w, 2);
      part.retired = w == 0 ? round : round / 2;
      part.wait_ms = 0;
      exchange(client, part, {1});
    }
  Part late = round_part(1, 1, 2);
  EXPECT_THAT(exchange(client, late, {1}).values, ElementsAre(2));
  late.round = 0;
  EXPECT_EQ(code_thrown_by([&] { exchange(client, late, {1}); }), Code::not_found);
}

TEST(Rounds, NameWhoIsMissing) {
  const Server server(on_a_free_port());
  Client client(address_of(server));
  Part part = round_part(0, 2, 5);
  part.wait_ms = 20;
  EXPECT_THAT(exchange(client, part, {1, 2}).sum.missing, ElementsAre(0, 1, 3, 4));
}

TEST(Rounds, ThatAreBeingSummedHaveNobodyMissingAndAreWaitedFor) {
  constexpr std::size_t kN = 3'000'000;
  const Server server(on_a_free_port());
  const std::vector<float> values = numbers(0, 0, kN);
  Client zero(address_of(server));
  for (std::uint64_t round = 0; round < 10; ++round) {
    Part part = round_part(round, 0, 2);
    part.retired = round;
    part.wait_ms = 0;
    ASSERT_THAT(exchange(zero, part, values).sum.missing, ElementsAre(1));
    std::thread other([&] {
      Client one(address_of(server));
      Part late = round_part(round, 1, 2);
      late.retired = round;
      exchange(one, late, values);
    });
    part.again = true;
    Exchange got;
    do got = exchange(zero, part, values);
    while (!got.sum.missing.empty());
    other.join();
    ASSERT_EQ(got.values.size(), kN);
  }
}

TEST(Rounds, SparsePushesGiveTheBitsOfDenseOnes) {
  const Server server(on_a_free_port());
  constexpr std::size_t kN = 20'000;
  const auto sparse_numbers = [](std::uint32_t w) {
    std::vector<float> values = numbers(0, w, kN);
    for (std::size_t i = 0; i < kN; ++i)
      if (i % 50 != w) values[i] = 0;
    values[7] = -0.0F;
    return values;
  };
  ASSERT_TRUE(as_sparse(sparse_numbers(0)).has_value());
  for (const bool sparse : {false, true})
    on_threads(3, [&](std::uint32_t w) {
      Client client(address_of(server));
      Part part = round_part(0, w, 3);
      part.id = sparse ? "a/rounds" : "b/rounds";
      const Exchange got = exchange(client, part, sparse_numbers(w), {}, sparse);
      std::vector<float> expected = sparse_numbers(0);
      for (const std::uint32_t other : {1U, 2U}) {
        const std::vector<float> next = sparse_numbers(other);
        for (std::size_t i = 0; i < kN; ++i) expected[i] += next[i];
      }
      if (std::memcmp(got.values.data(), expected.data(), kN * sizeof(float)) != 0)
        fail(Code::internal, "other bits");
    });
}

TEST(Rounds, MayBeLongerThanThriftsOwnLimit) {
  const Server server(on_a_free_port());
  Client client(address_of(server));
  std::vector<float> sent(27 << 20);  // 108 MB; Thrift's is 100
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<float>(i);
  EXPECT_TRUE(exchange(client, {.id = "job/rounds", .workers = 1}, sent).values == sent);
}

TEST(Rounds, RefuseWhatDoesNotFit) {
  const Server server(on_a_free_port());
  Client client(address_of(server));
  std::string why;
  const auto refused = [&](Part part, const std::vector<float>& values) {
    part.wait_ms = 0;
    return code_thrown_by([&] { exchange(client, part, values); }, &why);
  };
  Part part = round_part(0, 0, 2);
  part.wait_ms = 0;
  exchange(client, part, {1, 2});
  EXPECT_EQ(refused(round_part(0, 1, 2), {1, 2, 3}), Code::invalid_argument);
  EXPECT_EQ(refused(round_part(0, 2, 2), {1, 2}), Code::invalid_argument);
  EXPECT_EQ(refused(round_part(0, 1, 3), {1, 2}), Code::invalid_argument);
  EXPECT_EQ(refused(round_part(0, 1, 2), {1, std::nanf("")}), Code::diverged);
  EXPECT_THAT(why, HasSubstr("worker 1"));
  Part nameless = round_part(0, 0, 2);
  nameless.id = "";
  EXPECT_EQ(refused(nameless, {1, 2}), Code::invalid_argument);
  Part strange = round_part(0, 1, 2);
  strange.kind = static_cast<Kind>(99);
  EXPECT_EQ(refused(strange, {1, 2}), Code::invalid_argument);
  // And goes on.
  EXPECT_THAT(exchange(client, round_part(0, 1, 2), {1, 1}).values, ElementsAre(2, 3));
}

TEST(Running, GrowsByEveryPushOnceAndAnswersWithWhatItIs) {
  const Server server(on_a_free_port());
  constexpr std::size_t kN = 200'000;
  constexpr std::uint64_t kRounds = 20;
  constexpr std::uint32_t kWorkers = 4;
  on_threads(kWorkers, [&](std::uint32_t w) {
    Client client(address_of(server));
    const std::vector<float> mine(kN, static_cast<float>(w + 1));
    for (std::uint64_t round = 0; round < kRounds; ++round)
      for (int repeat = 0; repeat < 2; ++repeat)
        exchange(client, running_part(round, w, kWorkers), mine, {1.0});
    Part last = running_part(kRounds, w, kWorkers);
    last.last = true;
    const Exchange end = exchange(client, last, std::vector<float>(kN), {0.0});
    if (end.totals.at(0) != kRounds * kWorkers || end.sum.merged != kRounds * kWorkers)
      fail(Code::internal, "{} pushes of {}", end.totals.at(0), kRounds * kWorkers);
    for (const float x : end.values)
      if (x != kRounds * (1 + 2 + 3 + 4)) fail(Code::internal, "{}: a lost update", x);
  });
}

TEST(Running, ABoundOnStalenessHoldsTheFastBack) {
  const Server server(on_a_free_port());
  Client fast(address_of(server));
  Client slow(address_of(server));
  const auto push = [](Client& client, std::uint64_t round, std::uint32_t w, std::uint32_t wait) {
    Part part = running_part(round, w, 2);
    part.staleness = 2;
    part.wait_ms = wait;
    return exchange(client, part, {1}).sum.missing;
  };
  EXPECT_THAT(push(fast, 0, 0, 0), ElementsAre());
  EXPECT_THAT(push(fast, 1, 0, 0), ElementsAre());
  EXPECT_THAT(push(fast, 2, 0, 10), ElementsAre(1));
  std::thread waits([&] { EXPECT_THAT(push(fast, 2, 0, 20'000), ElementsAre()); });
  EXPECT_THAT(push(slow, 0, 1, 20'000), ElementsAre());
  waits.join();
}

TEST(Newest, SumsWhatEachBroughtLast) {
  const Server server(on_a_free_port());
  Client client(address_of(server));
  const auto bring = [&](std::uint64_t round, std::uint32_t w, float x) {
    Part part = round_part(round, w, 3);
    part.id = "job/newest";
    part.kind = Kind::newest;
    return exchange(client, part, {x});
  };
  EXPECT_THAT(bring(0, 2, 1).values, ElementsAre(1));
  EXPECT_THAT(bring(0, 0, 10).values, ElementsAre(11));
  EXPECT_THAT(bring(1, 2, 5).values, ElementsAre(15));
  EXPECT_THAT(bring(0, 2, 99).values, ElementsAre(15)) << "an older one changes nothing";
  EXPECT_EQ(bring(1, 0, 20).sum.merged, 2U);
}

TEST(Keys, AreKeptListedAndClearedWithTheSumsBesideThem) {
  const Server server(on_a_free_port());
  Client client(address_of(server));
  client.put("a/1", as_bytes("one"));
  EXPECT_FALSE(client.create("a/1", as_bytes("two")));
  EXPECT_TRUE(client.create("b/1", as_bytes("")));
  EXPECT_EQ(client.get("a/1")->text(), "one");
  EXPECT_FALSE(client.get("a/2").has_value());
  EXPECT_THAT(client.find("a/"), ElementsAre(testing::Pair("a/1", 3)));
  Part part = round_part(0, 0, 1);
  part.id = "a/rounds";
  exchange(client, part, {1});
  client.clear("a/");
  EXPECT_THAT(client.find(""), ElementsAre(testing::Pair("b/1", 0)));
  EXPECT_THAT(exchange(client, part, {5}).values, ElementsAre(5)) << "another sum of that name";
}

}  // namespace
}  // namespace lambdaml::ps
