// What a client may say that no good one would: every kind and flag of push_pull with numbers that
// do not fit, and calls that ask for more than there is. After each the server answers with a
// result or a typed refusal, or ends that connection, and serves the others as before.
#include <atomic>
#include <cmath>
#include <functional>
#include <limits>

#include <gmock/gmock.h>

#include "lambdaml/ps/testing/raw_client.h"
#include "lambdaml/ps/testing/test_support.h"

namespace lambdaml::ps {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using Ending = RawClient::Outcome::Kind;

constexpr std::uint32_t kLength = 16;

/// A Part as its bytes are to be, with what no client of ours can say.
struct RawPart {
  std::string id = "hostile";
  std::int32_t kind = 1;
  std::int64_t round = 0;
  std::int32_t worker = 0, workers = 2;
  std::int64_t retired = 0;
  std::int64_t length = kLength;
  bool last = false, again = false, pull_only = false;
  std::string totals = packed<double>({1}), values = packed(std::vector<float>(kLength, 1));
  std::optional<std::string> indices = {}, wanted = {};
  std::optional<double> scale = {}, learning_rate = {};
  std::optional<std::int32_t> staleness = {};
  std::optional<std::int64_t> generation = {};
  std::int32_t wait_ms = 0;

  Wire call() const {
    Wire wire = Wire::call("push_pull").field(Wire::kStruct, 1);
    wire.field(Wire::kString, 1).text(id).field(Wire::kI32, 2).i32(kind);
    wire.field(Wire::kI64, 3).i64(round).field(Wire::kI32, 4).i32(worker);
    wire.field(Wire::kI32, 5).i32(workers).field(Wire::kI32, 6).i32(wait_ms);
    wire.field(Wire::kI64, 7).i64(retired).field(Wire::kI64, 11).i64(length);
    wire.field(Wire::kBool, 13).byte(last).field(Wire::kBool, 14).byte(again);
    wire.field(Wire::kBool, 15).byte(pull_only);
    if (staleness) wire.field(Wire::kI32, 12).i32(*staleness);
    if (scale) wire.field(Wire::kDouble, 17).real(*scale);
    if (learning_rate) wire.field(Wire::kDouble, 18).real(*learning_rate);
    if (generation) wire.field(Wire::kI64, 19).i64(*generation);
    wire.field(Wire::kString, 8).text(totals).field(Wire::kString, 9).text(values);
    if (indices) wire.field(Wire::kString, 10).text(*indices);
    if (wanted) wire.field(Wire::kString, 16).text(*wanted);
    return wire.stop().stop();
  }
};

class Hostile : public testing::Test {
 protected:
  static ServerSettings settings() {
    ServerSettings settings = on_a_free_port();
    settings.memory_bytes = 200'000'000;
    settings.message_bytes = 50'000'000;
    return settings;
  }
  RawClient::Outcome outcome(const Wire& wire) const {
    const RawClient client(server.port());
    client.say(wire);
    return client.outcome();
  }
  RawClient::Outcome outcome(const RawPart& part) const { return outcome(part.call()); }
  /// Refused with a reason; the server lives.
  void expect_refused(const RawPart& part, const std::string& what) {
    const RawClient::Outcome got = outcome(part);
    EXPECT_EQ(got.kind, Ending::refused) << what;
    EXPECT_FALSE(got.code.empty()) << what;
    bystander.ping();
  }
  /// Two honest workers share a round of this id; the sum is that of their numbers alone.
  void expect_exact_round(const std::string& id, std::uint64_t round) {
    on_threads(2, [&](std::uint32_t worker) {
      Client client(address_of(server));
      Part part{.id = id, .round = round, .worker = worker, .workers = 2, .wait_ms = 20'000};
      const Exchange got = exchange(client, part, numbers(round, worker, kLength), {1.0});
      if (got.values != sum_of(round, 2, kLength) || got.totals != std::vector<double>{2.0})
        fail(Code::internal, "a wrong sum");
    });
  }

  const Server server{settings()};
  Client bystander{address_of(server)};
};

/// The flags that stand for bits.
RawPart with_flags(RawPart part, unsigned flags) {
  part.last = (flags & 1) != 0;
  part.again = (flags & 2) != 0;
  part.pull_only = (flags & 4) != 0;
  return part;
}

TEST_F(Hostile, IndicesBeyondTheLengthTouchNothingWhateverTheKindAndFlags) {
  std::uint64_t round = 0;
  for (const std::int32_t kind : {1, 2, 3, 4})
    for (unsigned flags = 0; flags < 8; ++flags)
      for (const std::uint32_t index : {16U, 20U, 100'000U, 50'000'000U, 0xffffffffU}) {
        RawPart part = with_flags({}, flags);
        part.id = fmt::format("hostile-{}", kind);
        part.kind = kind;
        part.round = static_cast<std::int64_t>(round);
        part.indices = packed<std::uint32_t>({index});
        part.values = packed<float>({7});
        const RawClient::Outcome got = outcome(part);
        // Where nothing is pushed (the worker is `last`, or asks `again`, or only pulls) numbers
        // are not looked at.
        if (flags == 0 || kind == 4) {
          EXPECT_EQ(got.kind, Ending::refused) << kind << " " << index;
        }
        EXPECT_NE(got.kind, Ending::cut) << kind << " " << flags << " " << index;
        bystander.ping();
        expect_exact_round(fmt::format("hostile-{}", kind), round++);
      }
}

TEST_F(Hostile, AWorkerThatIsLastBringsNothing) {
  for (const std::int32_t kind : {1, 3, 4})
    for (const bool pull_only : {false, true}) {
      RawPart part{.kind = kind, .length = 4000};
      (pull_only ? part.pull_only : part.last) = true;
      part.values.clear();
      expect_refused(part, fmt::format("kind {}, pull_only {}", kind, pull_only));
      part.workers = 1;
      expect_refused(part, fmt::format("kind {}, pull_only {}, alone", kind, pull_only));
    }
  // A worker may finish before any worker has pushed to a running vector, which is then all zeros.
  Part last{.id = "running", .kind = Kind::running, .workers = 1};
  last.last = true;
  Numbers answer;
  last.length = 4000;
  bystander.push_pull(last, {}, answer);
  ASSERT_EQ(answer.values.size(), 4000 * sizeof(float));
  const auto* values = reinterpret_cast<const float*>(answer.values.data());
  EXPECT_THAT(std::vector<float>(values, values + 4000), Each(0));
}

TEST_F(Hostile, NumbersThatDoNotFitAreRefusedWhateverTheKind) {
  const auto f = [](std::size_t n) { return packed(std::vector<float>(n, 1)); };
  const auto u = [](std::vector<std::uint32_t> indices) { return packed(indices); };
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const std::vector<std::pair<const char*, std::function<void(RawPart&)>>> faults = {
      {"too few values", [&](RawPart& p) { p.values = f(15); }},
      {"no values", [&](RawPart& p) { p.values.clear(); }},
      {"too many values", [&](RawPart& p) { p.values = f(17); }},
      {"values that are cut", [&](RawPart& p) { p.values.pop_back(); }},
      {"more indices",
       [&](RawPart& p) {
         p.values = f(1), p.indices = u({1, 2});
       }},
      {"fewer indices", [&](RawPart& p) { p.values = f(2), p.indices = u({1}); }},
      {"no indices", [&](RawPart& p) { p.values = f(2), p.indices = ""; }},
      {"an index that is cut", [&](RawPart& p) { p.values = f(1), p.indices = "abc"; }},
      {"an index twice",
       [&](RawPart& p) {
         p.values = f(2), p.indices = u({3, 3});
       }},
      {"indices that descend",
       [&](RawPart& p) {
         p.values = f(2), p.indices = u({5, 4});
       }},
      {"an index at the end", [&](RawPart& p) { p.values = f(1), p.indices = u({16}); }},
      {"an index of a vector of none",
       [&](RawPart& p) { p.length = 0, p.values = f(1), p.indices = u({0}); }},
      {"a NaN", [&](RawPart& p) { p.values = packed(std::vector<float>(16, std::nanf(""))); }},
      {"an infinity",
       [&](RawPart& p) {
         p.values = packed(std::vector<float>(16, std::numeric_limits<float>::infinity()));
       }},
      {"totals that are cut", [&](RawPart& p) { p.totals.pop_back(); }},
      {"a total of NaN", [&](RawPart& p) { p.totals = packed<double>({kNan}); }},
      {"an infinite total", [&](RawPart& p) { p.totals = packed<double>({-kInf}); }},
      {"a length of 2^62", [&](RawPart& p) { p.length = std::int64_t{1} << 62; }},
      {"a length of 2^32", [&](RawPart& p) { p.length = std::int64_t{1} << 32; }},
      {"a sparse length beyond the server's",
       [&](RawPart& p) { p.length = 100'000'000, p.values = f(1), p.indices = u({1}); }},
      {"a scale of NaN", [&](RawPart& p) { p.scale = kNan; }},
      {"an infinite scale", [&](RawPart& p) { p.scale = -kInf; }},
      {"a scale beyond floats", [&](RawPart& p) { p.scale = 1e300; }},
      {"a learning rate of NaN", [&](RawPart& p) { p.learning_rate = kNan; }},
      {"a learning rate below 0", [&](RawPart& p) { p.learning_rate = -1; }},
      {"an infinite learning rate", [&](RawPart& p) { p.learning_rate = kInf; }},
      {"wanted indices that are cut", [&](RawPart& p) { p.wanted = "abc"; }},
      {"a worker beyond the last", [&](RawPart& p) { p.worker = 2; }},
      {"2^31 - 1 workers",
       [&](RawPart& p) { p.workers = std::numeric_limits<std::int32_t>::max(); }},
      {"an id of none", [&](RawPart& p) { p.id.clear(); }},
      {"a long id", [&](RawPart& p) { p.id = std::string(1000, 'x'); }},
      {"no kind", [&](RawPart& p) { p.kind = 0; }},
      {"a strange kind", [&](RawPart& p) { p.kind = 99; }},
      {"a negative kind", [&](RawPart& p) { p.kind = -1; }},
  };
  for (const std::int32_t kind : {1, 2, 3, 4})
    for (const auto& [what, spoil] : faults) {
      RawPart part;
      part.kind = kind;
      spoil(part);
      expect_refused(part, fmt::format("kind {}: {}", kind, what));
    }
  expect_exact_round("hostile", 0);
}

TEST_F(Hostile, NegativeNumbersEndTheConnectionAndNothingElse) {
  const std::vector<std::function<void(RawPart&)>> faults = {
      [](RawPart& p) { p.round = -1; },     [](RawPart& p) { p.worker = -1; },
      [](RawPart& p) { p.workers = -2; },   [](RawPart& p) { p.wait_ms = -1; },
      [](RawPart& p) { p.retired = -1; },   [](RawPart& p) { p.length = -16; },
      [](RawPart& p) { p.staleness = -1; }, [](RawPart& p) { p.generation = -1; }};
  for (const auto& spoil : faults) {
    RawPart part;
    spoil(part);
    EXPECT_EQ(outcome(part).kind, Ending::cut);
    bystander.ping();
  }
  expect_exact_round("hostile", 0);
}

/// All flags with all faults at once, in an order that a seed draws, on ids that live: whatever is
/// said, the server answers or ends the connection, and an honest job beside it gets its sums.
TEST_F(Hostile, AThousandRequestsAtRandomHurtNobodyElse) {
  bystander.register_vector({.id = "x-model", .length = kLength, .workers = 2});
  Rng rng(15);
  const auto draw = [&](std::initializer_list<std::int64_t> values) {
    return *(values.begin() + rng.below(values.size()));
  };
  for (int i = 0; i < 1000; ++i) {
    RawPart part = with_flags({}, static_cast<unsigned>(rng.below(8)));
    part.id = fmt::format("x-{}", draw({0, 1, 2}));
    if (rng.below(4) == 0) part.id = "x-model";
    part.kind = static_cast<std::int32_t>(draw({1, 2, 3, 4, 4, 5}));
    part.round = draw({0, 1, 2, 3, std::numeric_limits<std::int64_t>::max()});
    part.worker = static_cast<std::int32_t>(draw({0, 1, 2}));
    part.workers = static_cast<std::int32_t>(draw({0, 1, 2, 2, 2, 3, 1 << 20}));
    part.retired = draw({0, 0, 1, 2, std::numeric_limits<std::int64_t>::max()});
    part.length = draw({0, 1, kLength, kLength, kLength, 17, 4000, 100'000, 12'500'000});
    const auto values = static_cast<std::size_t>(draw({0, 1, kLength, kLength, 17, 4000}));
    part.values = packed(std::vector<float>(values, 3e38F));
    part.totals = packed(std::vector<double>(static_cast<std::size_t>(draw({0, 1, 1, 2})), 1e308));
    const auto indices = [&] {
      std::vector<std::uint32_t> out(static_cast<std::size_t>(draw({0, 1, kLength, 17})));
      for (std::uint32_t at = 0; at < out.size(); ++at)
        out[at] = rng.below(8) == 0 ? static_cast<std::uint32_t>(rng.below(1U << 31)) : at;
      return packed(out);
    };
    if (rng.below(2) == 0) part.indices = indices();
    if (rng.below(4) == 0) part.wanted = indices();
    if (rng.below(4) == 0) part.scale = static_cast<double>(draw({-1, 0, 2, 1'000'000}));
    if (rng.below(4) == 0) part.learning_rate = static_cast<double>(draw({-1, 0, 1}));
    if (rng.below(4) == 0) part.staleness = static_cast<std::int32_t>(draw({0, 5, 1 << 30}));
    if (rng.below(4) == 0) part.generation = draw({0, 1, 77});
    EXPECT_NE(outcome(part).kind, Ending::cut) << i;
    if (i % 50 == 0) expect_exact_round("honest", static_cast<std::uint64_t>(i));
  }
  bystander.clear("x-");
  expect_exact_round("x-0", 0);
}

TEST_F(Hostile, TotalsWhoseSumIsNotFiniteCountNothing) {
  constexpr double kHuge = 1.5e308;
  const auto push = [&](Kind kind, std::uint64_t round, std::uint32_t worker, double total) {
    Part part{.id = fmt::format("totals-{}", static_cast<int>(kind)), .kind = kind};
    part.round = round;
    part.worker = worker;
    part.workers = 2;
    return exchange(bystander, part, {1}, {total});
  };
  push(Kind::running, 0, 0, kHuge);
  EXPECT_EQ(code_thrown_by([&] { push(Kind::running, 0, 1, kHuge); }), Code::diverged);
  const Exchange after = push(Kind::running, 0, 1, -kHuge);
  EXPECT_THAT(after.totals, ElementsAre(0));
  EXPECT_THAT(after.values, ElementsAre(2));
  EXPECT_EQ(after.sum.merged, 2U);

  push(Kind::round, 0, 0, kHuge);
  EXPECT_EQ(code_thrown_by([&] { push(Kind::round, 0, 1, kHuge); }), Code::diverged);
  // The round is begun anew.
  push(Kind::round, 0, 0, 1);
  EXPECT_THAT(push(Kind::round, 0, 1, 2).totals, ElementsAre(3));

  push(Kind::newest, 0, 0, kHuge);
  EXPECT_EQ(code_thrown_by([&] { push(Kind::newest, 0, 1, kHuge); }), Code::diverged);
  EXPECT_THAT(push(Kind::newest, 1, 1, 0).totals, ElementsAre(kHuge));
}

TEST_F(Hostile, AScaleThatTakesValuesOutOfTheFloatsIsRefused) {
  bystander.register_vector({.id = "m", .length = 2, .workers = 1});
  const std::vector<float> values = {1e20F, 0};
  EXPECT_EQ(code_thrown_by([&] { bystander.push("m", 1e20, values, 0, 0); }), Code::diverged);
  bystander.push("m", 1e18, values, 0, 0);
  EXPECT_THAT(bystander.pull("m", 0, 0), ElementsAre(1e38F, 0));
}

TEST_F(Hostile, WantedValuesComeWithADensePushToo) {
  const std::vector<float> values = {1, 2, 3, 4};
  const std::vector<std::uint32_t> wanted = {3, 1};
  const NumbersView pushed{
      {}, std::as_bytes(std::span(values)), {}, std::as_bytes(std::span(wanted))};
  Part part{.id = "running", .kind = Kind::running, .workers = 1};
  part.length = values.size();
  for (const float times : {1.0F, 2.0F}) {
    Numbers answer;
    bystander.push_pull(part, pushed, answer);
    ASSERT_EQ(answer.values.size(), 2 * sizeof(float));
    const auto* got = reinterpret_cast<const float*>(answer.values.data());
    EXPECT_THAT(std::vector<float>(got, got + 2), ElementsAre(4 * times, 2 * times));
    ++part.round;
  }
}

TEST_F(Hostile, AnAskForARoundThatIsNotThereDoesNotShapeIt) {
  // A worker asks again for a round that the server has lost: what it then brings begins it.
  expect_exact_round("job", 0);
  RawPart again;
  again.id = "job";
  again.again = true;
  again.length = 0;
  again.totals.clear();
  again.values.clear();
  for (again.round = 1; again.round < 200; ++again.round)
    EXPECT_EQ(outcome(again).kind, Ending::answered);
  for (std::uint64_t round = 1; round < 100; ++round) expect_exact_round("job", round);
}

TEST_F(Hostile, AResultOfAnotherLengthDoesNotReplaceARound) {
  RawPart part;
  part.id = "job";
  EXPECT_EQ(outcome(part).kind, Ending::answered);  // worker 0's part of round 0, of 16 values
  RawPart result = part;
  result.kind = 4;
  result.length = 4;
  result.values = packed(std::vector<float>(4, 1));
  expect_refused(result, "a result of 4 values");
  bystander.register_vector({.id = "m", .length = kLength, .workers = 2});
  result.id = "m";
  expect_refused(result, "a model's result of 4 values");
}

TEST_F(Hostile, ALiveVectorIsNotRegisteredOver) {
  constexpr std::size_t kN = 500'000;
  Part part{.id = "job/running", .kind = Kind::running, .workers = 1};
  exchange(bystander, part, std::vector<float>(kN, 1));
  std::atomic<bool> over = false;
  std::thread worker([&] {
    Client client(address_of(server));
    do {
      ++part.round;
      EXPECT_THAT(exchange(client, part, std::vector<float>(kN, 1)).values,
                  Each(static_cast<float>(part.round + 1)));
    } while (!over);
  });
  for (std::uint64_t i = 0; i < 200; ++i)
    EXPECT_EQ(code_thrown_by([&] {
                bystander.register_vector({.id = "job/running", .length = 1 + kN * (i % 3)});
              }),
              Code::already_exists);
  over = true;
  worker.join();
}

TEST_F(Hostile, RegistrationsBeyondAllMeasureAreRefused) {
  const auto registration = [](std::int64_t length, std::int32_t workers) {
    return Wire::call("register_vector")
        .field(Wire::kStruct, 1)
        .field(Wire::kString, 1)
        .text("huge")
        .field(Wire::kI64, 2)
        .i64(length)
        .field(Wire::kI32, 3)
        .i32(workers);
  };
  const std::int64_t most = std::numeric_limits<std::int64_t>::max();
  for (const std::int64_t length :
       {std::int64_t{1} << 62, (std::int64_t{1} << 62) + 1, std::int64_t{1} << 61,
        std::int64_t{1} << 32, most, std::int64_t{0}, std::int64_t{-1}, -most}) {
    EXPECT_EQ(outcome(registration(length, 1).stop().stop()).kind, Ending::refused) << length;
    bystander.ping();
  }
  for (const std::int32_t workers :
       {0, -1, (1 << 20) + 1, std::numeric_limits<std::int32_t>::max()})
    EXPECT_EQ(outcome(registration(4, workers).stop().stop()).kind, Ending::refused) << workers;
  Wire odd = registration(4, 1);
  odd.field(Wire::kList, 8).list(Wire::kI64, 1).i64(0).stop().stop();
  EXPECT_EQ(outcome(odd).kind, Ending::refused);
  for (const std::int32_t length : {std::numeric_limits<std::int32_t>::max(), 0, -1}) {
    const Wire old = Wire::call("register_model")
                         .field(Wire::kString, 1)
                         .text("huge")
                         .field(Wire::kI32, 2)
                         .i32(length)
                         .field(Wire::kI32, 3)
                         .i32(1)
                         .stop();
    EXPECT_EQ(outcome(old).kind, Ending::refused) << length;
  }
  EXPECT_FALSE(bystander.exists("huge"));
  bystander.register_model("huge", 4, 1);
}

/// The original's push: a list of doubles.
TEST_F(Hostile, ListsOfTheOriginalThatDoNotFitAreRefused) {
  bystander.register_model("m", kLength, 1);
  const std::vector<float> before = bystander.pull("m", 0, 0);
  const auto push = [](const char* name, std::int64_t size, std::size_t sent, double value,
                       Wire::Type element = Wire::kDouble) {
    const int shift = std::string_view(name) == "push_grad" ? 1 : 0;
    Wire wire = Wire::call(name).field(Wire::kStruct, 1).field(Wire::kString, 1).text("m");
    if (shift == 1) wire.field(Wire::kDouble, 2).real(1);
    wire.field(Wire::kList, 3 + shift).list(element, size);
    for (std::size_t i = 0; i < sent; ++i) wire.real(value);
    return wire.field(Wire::kI32, 4 + shift)
        .i32(0)
        .field(Wire::kI32, 5 + shift)
        .i32(0)
        .stop()
        .stop();
  };
  for (const char* name : {"push_grad", "push_update"}) {
    EXPECT_EQ(outcome(push(name, 3, 3, 1)).kind, Ending::refused);
    EXPECT_EQ(outcome(push(name, 100'000, 100'000, 1)).kind, Ending::refused);
    EXPECT_EQ(outcome(push(name, kLength, kLength, std::nan(""))).kind, Ending::refused);
    EXPECT_EQ(outcome(push(name, kLength, kLength, 1e300)).kind, Ending::refused);
    EXPECT_EQ(outcome(push(name, 1 << 30, 4, 1)).kind, Ending::cut);
    EXPECT_EQ(outcome(push(name, -1, 0, 1)).kind, Ending::cut);
    EXPECT_EQ(outcome(push(name, kLength, kLength, 1, Wire::kString)).kind, Ending::cut);
    bystander.ping();
  }
  EXPECT_EQ(bystander.pull("m", 0, 0), before);
  EXPECT_EQ(outcome(push("push_update", kLength, kLength, 1)).kind, Ending::answered);
  EXPECT_EQ(bystander.pull("m", 1, 0).front(), before.front() + 1);
}

TEST_F(Hostile, DepthAndSizesOfWhatIsSkippedAreLimited) {
  const auto nested = [](std::string_view call, int depth) {
    Wire wire = Wire::call(call);
    for (int i = 0; i < depth; ++i) wire.field(Wire::kStruct, 9);
    for (int i = 0; i < depth; ++i) wire.stop();
    return wire.stop();
  };
  for (const char* call : {"ping", "hello", "push_pull", "push_grad", "register_vector", "find",
                           "nothing", "remove", "zip"}) {
    for (const int depth : {100, 4'000, 200'000})
      EXPECT_EQ(outcome(nested(call, depth)).kind, Ending::cut) << call << " " << depth;
    bystander.ping();
    // Lists in lists, and maps that say how much is in them.
    Wire lists = Wire::call(call).field(Wire::kList, 9);
    for (int i = 0; i < 10'000; ++i) lists.list(Wire::kList, 1);
    EXPECT_EQ(outcome(lists).kind, Ending::cut) << call;
    Wire map = Wire::call(call).field(Wire::kMap, 9).byte(Wire::kI32).list(Wire::kI32, 1 << 30);
    EXPECT_EQ(outcome(map).kind, Ending::cut) << call;
    Wire text = Wire::call(call).field(Wire::kString, 9).i32(1 << 30);
    EXPECT_EQ(outcome(text).kind, Ending::cut) << call;
    bystander.ping();
  }
  EXPECT_EQ(outcome(nested("ping", 20)).kind, Ending::answered) << "clients may be newer";
  EXPECT_EQ(outcome(nested("nothing", 20)).kind, Ending::unknown_method);
}

TEST_F(Hostile, AMessageWithoutEndIsEnded) {
  const std::string filler = Wire().field(Wire::kString, 9).text(std::string(60'000, 'x')).bytes();
  for (const char* call : {"ping", "find", "register_vector"}) {
    const RawClient client(server.port());
    client.say(Wire::call(call));
    bool goes_on = true;
    for (int i = 0; i < 1000 && goes_on; ++i) goes_on = client.say(filler);
    EXPECT_FALSE(goes_on) << call << " took 60 MB";
    EXPECT_TRUE(client.is_cut());
    bystander.ping();
  }
}

TEST_F(Hostile, KeysThatAreNoneAreRefused) {
  for (const std::string& key : {std::string(), std::string(5000, 'k')}) {
    const Wire put = Wire::call("put")
                         .field(Wire::kString, 1)
                         .text(key)
                         .field(Wire::kString, 2)
                         .text("v")
                         .stop();
    EXPECT_EQ(outcome(put).kind, Ending::refused) << key.size();
    const Wire create = Wire::call("create").field(Wire::kString, 1).text(key).stop();
    EXPECT_EQ(outcome(create).kind, Ending::refused) << key.size();
  }
  // Long ones come a page at a time.
  for (int i = 0; i < 1000; ++i)
    bystander.put(fmt::format("{:04}{}", i, std::string(4000, 'k')), {});
  EXPECT_EQ(bystander.find("").size(), 1000U);
  Wire remove = Wire::call("remove").field(Wire::kList, 1).list(Wire::kString, 60'000);
  for (int i = 0; i < 60'000; ++i)
    remove.text(fmt::format("{:04}{}", i % 2000, std::string(4000, 'k')));
  EXPECT_EQ(outcome(remove.stop()).kind, Ending::refused) << "240 MB of keys";
  EXPECT_EQ(bystander.find("").size(), 1000U);
}

}  // namespace
}  // namespace lambdaml::ps
