// The server around the sums: models, restarts, limits, many clients.
#include <cmath>
#include <cstdlib>
#include <fstream>

#include <gmock/gmock.h>

#include "lambdaml/base/files.h"
#include "lambdaml/ps/testing/original_client.h"
#include "lambdaml/ps/testing/raw_client.h"
#include "lambdaml/ps/testing/test_support.h"
#include "lambdaml/ps/transport.h"

namespace lambdaml::ps {
namespace {

namespace fs = std::filesystem;
using testing::Each;
using testing::ElementsAre;
using testing::FloatNear;
using testing::HasSubstr;

TEST(Models, TakeTheTurnsOfTheOriginal) {
  const Server server(on_a_free_port());
  OriginalClient client(server);
  client.calls.ping();
  EXPECT_FALSE(client.calls.exist_model("lr"));
  client.calls.register_model("lr", 3, 2);
  client.calls.register_model("lr", 3, 2);
  EXPECT_TRUE(client.calls.exist_model("lr"));
  const std::vector<double> start = client.pull("lr", 0, 0);
  EXPECT_THAT(start, Each(testing::AllOf(testing::Ge(-0.1), testing::Le(0.1))));
  EXPECT_TRUE(client.calls.can_pull("lr", 0, 1));
  EXPECT_FALSE(client.calls.can_push("lr", 0, 0));
  client.pull("lr", 0, 0);
  EXPECT_FALSE(client.calls.can_push("lr", 0, 0)) << "a pull that is repeated counts once";
  client.pull("lr", 0, 1);
  EXPECT_TRUE(client.calls.can_push("lr", 0, 0));
  client.push("lr", -0.5, {1, 2, 3}, 0, 0);
  client.push("lr", -0.5, {1, 2, 3}, 0, 0);
  EXPECT_FALSE(client.calls.can_pull("lr", 1, 0)) << "so does a push";
  wire::Update update;
  update.id = "lr";
  update.data = {10, 10, 10};
  update.worker_id = 1;
  client.calls.push_update(update);
  EXPECT_TRUE(client.calls.can_pull("lr", 1, 0));
  const std::vector<double> moved = client.pull("lr", 1, 0);
  for (int i = 0; i < 3; ++i) EXPECT_NEAR(moved[i], start[i] - 0.5 * (i + 1) + 10, 1e-5);
}

TEST(Models, RefuseWhatDoesNotFit) {
  const Server server(on_a_free_port());
  OriginalClient client(server);
  client.calls.register_model("m", 2, 1);
  EXPECT_THAT(refusal_of([&] { client.calls.register_model("n", -3, 1); }), HasSubstr("-3"));
  EXPECT_THAT(refusal_of([&] { client.pull("nobody", 0, 0); }), HasSubstr("nobody"));
  EXPECT_THAT(refusal_of([&] { client.pull("m", 0, 1); }), HasSubstr("worker 1"));
  EXPECT_THAT(refusal_of([&] { client.pull("m", 0, -1); }), HasSubstr("worker -1"));
  EXPECT_THAT(refusal_of([&] { client.push("m", 1, {1, 2, 3}, 0, 0); }), HasSubstr("3 values"));
  EXPECT_THAT(refusal_of([&] { client.push("m", 1, {1, NAN}, 0, 0); }), HasSubstr("worker 0"));
  EXPECT_THAT(refusal_of([&] { client.push("m", NAN, {1, 2}, 0, 0); }), HasSubstr("worker 0"));
  client.push("m", 1, {1, 2}, 0, 0);
  EXPECT_THAT(refusal_of([&] { client.push("m", 1, {1, 3}, 0, 0); }), HasSubstr("turn 0"));
  client.push("m", 1, {1, 2}, 1, 0);
  EXPECT_THAT(refusal_of([&] { client.push("m", 1, {1, 2}, 0, 0); }), HasSubstr("turn 1"));
  client.calls.delete_model("m");
  EXPECT_FALSE(client.calls.exist_model("m"));
}

TEST(Models, DescendWithMomentumAndPenaltyAsByHand) {
  const Server server(on_a_free_port());
  Client client(address_of(server));
  client.register_vector({.id = "sgd",
                          .length = 2,
                          .workers = 2,
                          .learning_rate = 0.1,
                          .momentum = 0.5,
                          .l2 = 0.2,
                          .penalized = {{0, 1}}});
  const auto step = [&](std::uint64_t round, const std::vector<float>& a,
                        const std::vector<float>& b) {
    Part part{.id = "sgd", .kind = Kind::round, .round = round, .worker = 1, .workers = 2};
    exchange(client, part, b);
    part.worker = 0;
    return exchange(client, part, a).values;
  };
  // v = g, w = −0.1 v; then v = 0.5 v + g + 0.2 w (of the first only), w −= 0.1 v.
  EXPECT_THAT(step(0, {1, 2}, {3, 4}),
              ElementsAre(FloatNear(-0.4F, 1e-6F), FloatNear(-0.6F, 1e-6F)));
  const float v0 = 0.5F * 4 + 2 + 0.2F * -0.4F;
  EXPECT_THAT(step(1, {1, 0}, {1, 1}),
              ElementsAre(FloatNear(-0.4F - 0.1F * v0, 1e-6F), FloatNear(-0.6F - 0.1F * 4, 1e-6F)));
}

TEST(Models, AreReadAndMovedInPart) {
  const Server server(on_a_free_port());
  Client client(address_of(server));
  constexpr std::size_t kN = 200'000;
  client.register_vector({.id = "big", .length = kN, .workers = 1});
  std::vector<float> values(kN);
  values[5] = 1;
  values[150'000] = 2;
  Part part{.id = "big", .kind = Kind::running, .workers = 1};
  exchange(client, part, values, {}, true);
  const std::vector<std::uint32_t> wanted = {150'000, 5, 6};
  Part pull = part;
  pull.pull_only = true;
  Numbers answer;
  client.push_pull(pull, {{}, {}, {}, std::as_bytes(std::span(wanted))}, answer);
  const auto* got = reinterpret_cast<const float*>(answer.values.data());
  EXPECT_THAT(std::vector<float>(got, got + 3), ElementsAre(2, 1, 0));
  const std::vector<std::uint32_t> beyond = {kN};
  EXPECT_EQ(code_thrown_by([&] {
              client.push_pull(pull, {{}, {}, {}, std::as_bytes(std::span(beyond))}, answer);
            }),
            Code::invalid_argument);
}

TEST(Snapshots, HoldSumsModelsAndKeys) {
  const Folder folder;
  ServerSettings settings = on_a_free_port();
  settings.dir = folder.path();
  std::int64_t before = 0;
  std::vector<float> model;
  Part running{.id = "job/running", .kind = Kind::running, .workers = 1};
  Part rounds{.id = "job/rounds", .kind = Kind::round, .round = 3, .workers = 1};
  {
    const Server server(settings);
    Client client(address_of(server));
    before = client.incarnation();
    EXPECT_TRUE(client.durable());
    client.put("job/key", as_bytes("value"));
    client.register_model("m", 4, 2);
    model = client.pull("m", 0, 0);
    exchange(client, running, {1, 2}, {3.0});
    exchange(client, rounds, {7});
  }
  const Server server(settings);
  Client client(address_of(server));
  EXPECT_NE(client.incarnation(), before);
  EXPECT_EQ(client.get("job/key")->text(), "value");
  EXPECT_EQ(client.pull("m", 0, 0), model);
  EXPECT_THAT(exchange(client, running, {1, 2}, {3.0}).values, ElementsAre(1, 2)) << "counted";
  EXPECT_THAT(exchange(client, rounds, {99}).values, ElementsAre(7));
}

TEST(Snapshots, ThatAreDamagedAreSetAside) {
  const Folder folder;
  ServerSettings settings = on_a_free_port();
  settings.dir = folder.path();
  {
    const Server server(settings);
    Client client(address_of(server));
    client.register_model("m", 4, 2);
    client.register_model("n", 4, 2);
    client.put("key", as_bytes("value"));
  }
  std::size_t damaged = 0;
  for (const char* part : {"models", "keys"}) {
    const fs::path file = fs::directory_iterator(folder.path() / part)->path();
    std::fstream(file, std::ios::in | std::ios::out).seekp(40).put('!');
    ++damaged;
  }
  const Server server(settings);
  Client client(address_of(server));
  EXPECT_NE(client.exists("m"), client.exists("n"));
  EXPECT_FALSE(client.get("key").has_value());
  std::size_t aside = 0;
  for (const auto& file : fs::recursive_directory_iterator(folder.path()))
    aside += file.path().extension() == ".corrupt" ? 1 : 0;
  EXPECT_EQ(aside, damaged);
}

TEST(Snapshots, AResultThatAServerHasLostIsGivenBack) {
  const Server server(on_a_free_port());
  Client late(address_of(server));
  Part part{.id = "job/rounds", .kind = Kind::round, .round = 5, .worker = 1, .workers = 2};
  part.wait_ms = 20'000;
  std::thread waits([&] { EXPECT_THAT(exchange(late, part, {1}).values, ElementsAre(42)); });
  Client other(address_of(server));
  Part result = part;
  result.kind = Kind::result;
  result.worker = 0;
  exchange(other, result, {42});
  waits.join();
}

TEST(Limits, OnModelsMemoryAndMessagesAreSaid) {
  ServerSettings settings = on_a_free_port();
  settings.models = 100;
  settings.memory_bytes = 2'000'000;
  settings.message_bytes = 1'000'000;
  const Server server(settings);
  Client client(address_of(server));
  std::string why;
  EXPECT_EQ(code_thrown_by(
                [&] {
                  for (int i = 0; i < 10'000; ++i)
                    client.register_model(fmt::format("{}", i), 2, 1);
                },
                &why),
            Code::resource_exhausted);
  EXPECT_THAT(why, HasSubstr("100 models"));
  client.delete_model("0");
  client.register_model("again", 2, 1);
  EXPECT_EQ(code_thrown_by([&] { client.register_model("huge", 1'000'000, 1); }, &why),
            Code::resource_exhausted);
  const Buffer value(900'000);
  client.put("1", value);
  client.put("2", value);
  EXPECT_EQ(code_thrown_by([&] { client.put("3", value); }, &why), Code::resource_exhausted);
  EXPECT_THAT(why, HasSubstr("memory limit"));
  client.remove({"1", "2"});
  client.put("3", value);
}

TEST(Limits, APushThatThereIsNoMemoryForCountsNothingAndHoldsNobodyUp) {
  const Folder folder;
  ServerSettings settings = on_a_free_port();
  settings.dir = folder.path();
  settings.memory_bytes = 1'000'000;
  Server server(settings);
  Client client(address_of(server));
  const Part part{.id = "job/running", .kind = Kind::running, .workers = 1};
  const std::vector<float> values(150'000, 1.0F);
  EXPECT_EQ(code_thrown_by([&] { exchange(client, part, values, {}, true); }),
            Code::resource_exhausted);
  server.save_and_expire();  // a snapshot waits for pushes under way
  Part pull = part;
  pull.pull_only = true;
  const std::vector<std::uint32_t> first = {0};
  Numbers answer;
  EXPECT_EQ(client.push_pull(pull, {{}, {}, {}, std::as_bytes(std::span(first))}, answer).merged,
            0);
  client.clear("job/");
  const std::vector<float> fewer(1000, 1.0F);
  EXPECT_EQ(exchange(client, part, fewer, {}, true).sum.merged, 1);
}

TEST(Limits, WhatNobodyUsesExpires) {
  ServerSettings settings = on_a_free_port();
  settings.expired_s = 0;
  Server server(settings);
  Client client(address_of(server));
  client.register_model("m", 2, 1);
  client.put("job/key", as_bytes("value"));
  server.save_and_expire();
  EXPECT_FALSE(client.exists("m"));
  EXPECT_FALSE(client.get("job/key").has_value());
}

TEST(Frames, OfNonsenseEndTheConnectionAndNothingElse) {
  const Server server(on_a_free_port());
  Client bystander(address_of(server));
  const std::string part = std::string("\x0c\x00\x01", 3);    // a struct, field 1
  const std::string values = std::string("\x0b\x00\x09", 3);  // a binary, field 9
  for (const std::string& nonsense :
       {std::string("GET / HTTP/1.0\r\n\r\n"), std::string(64, '\xff'), std::string(64, '\0'),
        Wire::call("push_pull").bytes() + part + values + std::string("\xff\xff\xff\xf0", 4),
        Wire::call("push_pull").bytes() + part + values + std::string("\x7f\xff\xff\xff", 4),
        Wire::call("put").bytes() + std::string("\x0b\x00\x02\x80\x00\x00\x00", 7),
        // A list of 2^30 doubles.
        Wire::call("push_grad").bytes() + part +
            std::string("\x0f\x00\x04\x04\x40\x00\x00\x00", 8)}) {
    const RawClient client(server.port());
    client.say(nonsense);
    EXPECT_TRUE(client.is_cut()) << testing::PrintToString(nonsense);
    bystander.ping();
  }
  {  // Cut short.
    const RawClient client(server.port());
    client.say(Wire::call("push_pull").bytes() + part + values +
               std::string("\x00\x00\x10\x00", 4) + "abc");
  }
  bystander.ping();
}

TEST(Frames, AClientThatStopsReadingHoldsNobodyUp) {
  const Server server(on_a_free_port());
  Client client(address_of(server));
  client.put("large", Buffer(20'000'000));
  const RawClient deaf(server.port());
  for (int i = 0; i < 50; ++i)
    deaf.say(Wire::call("get").bytes() + std::string("\x0b\x00\x01\x00\x00\x00\x05large\x00", 13));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(client.get("large")->size(), 20'000'000U);
}

TEST(Limits, APortInUseIsSaid) {
  const Server server(on_a_free_port());
  ServerSettings settings = on_a_free_port();
  settings.port = server.port();
  std::string why;
  EXPECT_EQ(code_thrown_by([&] { Server other(settings); }, &why), Code::already_exists);
  EXPECT_THAT(why, HasSubstr(std::to_string(server.port())));
}

/// 200 connections, old and new clients mixed, on models and on a job's rounds at once.
TEST(ManyClients, LoseNoUpdate) {
  constexpr std::uint32_t kClients = 200;
  constexpr std::uint32_t kTurns = 25;  // a push and a pull each
  constexpr std::size_t kN = 70'000;    // more than one lock
  const Server server(on_a_free_port());
  Client client(address_of(server));
  client.register_vector({.id = "shared", .length = kN, .workers = kClients});
  client.register_vector({.id = "small", .length = 10, .workers = kClients});
  on_threads(kClients, [&](std::uint32_t w) {
    // Long vectors go raw: every second client speaks as the original's do, in lists of doubles.
    const std::string id = w % 8 == 0 ? "shared" : "small";
    const std::size_t n = id == "small" ? 10 : kN;
    if (w % 2 == 1) {
      OriginalClient old(server);
      for (std::uint32_t turn = 0; turn < kTurns; ++turn) {
        old.push(id, 1, std::vector<double>(n, 1), static_cast<int>(turn), static_cast<int>(w));
        if (old.pull(id, static_cast<int>(turn), static_cast<int>(w)).size() != n)
          fail(Code::internal, "a short model");
      }
      return;
    }
    Client mine(address_of(server));
    for (std::uint32_t turn = 0; turn < kTurns; ++turn) {
      mine.push(id, 1, std::vector<float>(n, 1), turn, w);
      if (mine.pull(id, turn, w).size() != n) fail(Code::internal, "a short model");
      Part part{.id = fmt::format("job-{}/rounds", w / 4), .round = turn, .worker = w / 2 % 2};
      part.workers = 2;
      part.retired = turn;
      part.wait_ms = 60'000;
      if (exchange(mine, part, numbers(turn, w / 2 % 2, 100)).values != sum_of(turn, 2, 100))
        fail(Code::internal, "a wrong sum");
    }
  });
  // Of each eight clients one moves the long model.
  EXPECT_THAT(client.pull("shared", kTurns, 0), Each(kTurns * kClients / 8.0F));
  EXPECT_THAT(client.pull("small", kTurns, 0), Each(kTurns * kClients * 7 / 8.0F));
}

}  // namespace
}  // namespace lambdaml::ps
