// Services that do not answer: dead, frozen, silent from the start, flapping, behind a line that
// drips, cuts or garbles. Each is given the time that its patience says, by one clock over all
// layers, and what is promised holds within a tenth.
//
// The patience here is short, for tests take real time; LAMBDAML_TEST_OUTAGE_S=20 runs them with
// the one that users have.
#include <csignal>
#include <thread>

#include <gmock/gmock.h>
#include <unistd.h>

#include "integration/relay.h"
#include "integration/stores.h"
#include "lambdaml/base/testing/testing.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/storage/testing/conformance.h"

namespace lambdaml::storage {
namespace {

using testing::AnyOf;
using testing::HasSubstr;

/// How long a service is given that has answered, and one that never has.
double outage_s() {
  const char* const text = std::getenv("LAMBDAML_TEST_OUTAGE_S");
  return text == nullptr ? 1.2 : to_real(text).value();
}
double first_contact_s() { return std::max(1.0, outage_s() / 4); }
/// What a loaded machine may add.
constexpr double kSlack_s = 3 + kSanitizer_s;

std::shared_ptr<Patience> patience() {
  return std::make_shared<Patience>(
      PatiencePolicy{.outage_s = outage_s(), .first_contact_s = first_contact_s()});
}

/// What a call threw, and after how long.
struct Ended {
  Code code = Code::internal;
  std::string why = "it went through";
  double seconds = 0;
};
template <class Call>
Ended ended(Call&& call) {
  const Stopwatch clock;
  Ended out;
  try {
    call();
  } catch (const Error& error) {
    out.code = error.code();
    out.why = error.what();
  }
  out.seconds = clock.seconds();
  return out;
}

void expect_given_up(const Ended& ended, double after_s, double more_s = 0) {
  EXPECT_EQ(ended.code, Code::unavailable) << ended.why;
  EXPECT_GE(ended.seconds, 0.9 * after_s) << ended.why;
  EXPECT_LE(ended.seconds, 1.1 * after_s + more_s + kSlack_s) << ended.why;
}

class Outage : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { REQUIRE_STORE(GetParam()); }

  const servers::Server& server() const { return servers::get(GetParam()); }
  std::shared_ptr<Storage> open_it() const {
    return open(server().uri + "/" + place_, nullptr, patience());
  }
  /// The store as it is reached by way of another port of this machine.
  std::shared_ptr<Storage> open_by_way_of(int port) const {
    const std::string scheme = GetParam();
    std::string uri = fmt::format("{}://127.0.0.1:{}/{}", scheme, port, place_);
    if (scheme == "s3" || scheme == "dynamodb")
      uri = fmt::format("{}/{}?endpoint=http://127.0.0.1:{}", server().uri, place_, port);
    if (scheme == "redis") uri = fmt::format("redis://127.0.0.1:{}/0/{}", port, place_);
    return open(uri, nullptr, patience());
  }
  /// What comes after a service was given up does not wait again, but for a probe.
  static void expect_quick_ends(Storage& store) {
    const Ended all = ended([&] {
      for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(ended([&] { store.clear(""); }).code, Code::unavailable);
        EXPECT_EQ(ended([&] { store.save("stop", as_bytes("it")); }).code, Code::unavailable);
        const std::vector<std::string> keys = {"a", "b", "c"};
        EXPECT_EQ(ended([&] { store.remove_all(keys); }).code, Code::unavailable);
      }
    });
    EXPECT_LE(all.seconds, 0.1 * outage_s() + kSlack_s);
  }
  /// The same handle works again when the service does.
  static void expect_return(Storage& store) {
    const Deadline deadline = Deadline::in(3 * outage_s() + 60);
    // On a loaded machine a server that is back may stand still for longer than it is given here.
    const auto until_it_answers = [&](const auto& call) {
      while (ended(call).code == Code::unavailable) {
        ASSERT_FALSE(deadline.passed()) << "the service is back and not found";
        pause_for(0.05);
      }
    };
    until_it_answers([&] { store.save("key", as_bytes("back")); });
    until_it_answers([&] { EXPECT_EQ(store.load("key")->text(), "back"); });
    until_it_answers([&] { store.clear(""); });
  }

  const std::string place_ = unique_place();
};

INSTANTIATE_TEST_SUITE_P(, Outage, testing::ValuesIn(servers::schemes()),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(Outage, OfAKilledServiceEndsInTime) {
  const auto store = open_it();
  store->save("key", as_bytes("value"));
  server().stop();
  expect_given_up(ended([&] { store->load("key"); }), outage_s());
  expect_quick_ends(*store);
  server().start();
  expect_return(*store);
}

TEST_P(Outage, OfAFrozenServiceEndsInTime) {
  const auto store = open_it();
  store->save("key", as_bytes("value"));
  server().signal(SIGSTOP);
  expect_given_up(ended([&] { store->load("key"); }), outage_s());
  expect_quick_ends(*store);
  server().signal(SIGCONT);
  expect_return(*store);
}

TEST_P(Outage, IsSeenByAWaitForAPeer) {
  const auto store = open_it();
  store->save("key", as_bytes("value"));
  Ended waited;
  std::thread waits(
      [&] { waited = ended([&] { store->load_or_wait("absent", Deadline::in(600)); }); });
  // A peer that is late is no outage.
  pause_for(outage_s());
  server().signal(SIGSTOP);
  const Stopwatch frozen;
  waits.join();
  waited.seconds = frozen.seconds();
  server().signal(SIGCONT);
  // It looks once a second at the least.
  expect_given_up(waited, outage_s(), 1);
  expect_return(*store);
}

TEST_P(Outage, OfAFrozenServiceEndsALargeSaveInTime) {
  const auto store = open_it();
  store->save("key", as_bytes("value"));
  const Buffer value = noise(24'000'000, 1);
  server().signal(SIGSTOP);
  expect_given_up(ended([&] { store->save("large", value); }), outage_s());
  server().signal(SIGCONT);
  expect_return(*store);
}

TEST_P(Outage, ThatIsShortIsOutlived) {
  // Down for three quarters of the time; a short time has to have room for the start of a server on
  // a loaded machine.
  const double patience_s = std::max(outage_s(), 10.0);
  const double down_s = outage_s() < 10 ? 1 : 0.75 * outage_s();
  const auto store = open(server().uri + "/" + place_, nullptr,
                          std::make_shared<Patience>(PatiencePolicy{.outage_s = patience_s}));
  store->save("key", as_bytes("value"));
  for (int times = 0; times < 2; ++times) {
    // This server answers before its table is made again.
    const bool restarts = std::string(GetParam()) != "dynamodb";
    if (restarts) server().stop();
    Ended saved;
    std::thread saves([&] { saved = ended([&] { store->save("key", as_bytes("value")); }); });
    pause_for(down_s);
    if (restarts) server().start();
    saves.join();
    EXPECT_EQ(saved.why, "it went through");
    server().signal(SIGSTOP);
    std::thread thaws([&] {
      pause_for(down_s);
      server().signal(SIGCONT);
    });
    const Ended loaded = ended([&] { store->load("key"); });
    thaws.join();
    EXPECT_EQ(loaded.why, "it went through");
  }
  store->clear("");
}

TEST_P(Outage, OfOneThatSaysNothingFromTheStartEndsInSeconds) {
  const servers::Relay silent(0);
  const Ended opened = ended([&] { open_by_way_of(silent.port())->load("key"); });
  expect_given_up(opened, first_contact_s());
  EXPECT_THAT(opened.why, HasSubstr("no answer for"));
  // Others have talked to it: then it gets the whole time.
  auto known = std::make_shared<Patience>(PatiencePolicy{
      .outage_s = outage_s(), .first_contact_s = first_contact_s(), .has_answered = true});
  std::string uri = fmt::format("{}://127.0.0.1:{}/x", GetParam(), silent.port());
  if (std::string(GetParam()) == "s3" || std::string(GetParam()) == "dynamodb")
    uri = fmt::format("{}?endpoint=http://127.0.0.1:{}", server().uri, silent.port());
  expect_given_up(ended([&] { open(uri, nullptr, known)->load("key"); }), outage_s());
}

// ---- interrupts ----

/// Calls `call` and interrupts the process a moment later.
template <class Call>
Ended interrupted_in(Call&& call) {
  catch_interrupts();
  double at = 0;
  const Stopwatch clock;
  std::thread user([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    at = clock.seconds();
    ::kill(::getpid(), SIGINT);
  });
  Ended out = ended(call);
  user.join();
  out.seconds -= at;
  catch_interrupts();
  return out;
}

TEST_P(Outage, AnInterruptEndsWhatWaitsForAService) {
  const auto store = open_it();
  store->save("key", as_bytes("value"));
  const Buffer value = noise(24'000'000, 1);
  server().signal(SIGSTOP);
  for (const std::function<void()>& call : std::vector<std::function<void()>>{
           [&] { store->load("key"); }, [&] { store->load_or_wait("absent", Deadline::in(600)); },
           [&] { store->save("large", value); }, [&] { store->clear(""); },
           [&] { open_it()->load("key"); }}) {
    const Ended interrupted = interrupted_in(call);
    EXPECT_EQ(interrupted.code, Code::cancelled) << interrupted.why;
    EXPECT_LT(interrupted.seconds, 1 + kSlack_s) << interrupted.why;
  }
  // What tidies up gets two seconds in all.
  catch_interrupts();
  ::raise(SIGINT);
  const Ended tidied = ended([&] {
    const Tidying tidying;
    const auto fresh = open(server().uri + "/" + place_, nullptr,
                            std::make_shared<Patience>(PatiencePolicy{.has_answered = true}));
    fresh->clear("");
  });
  EXPECT_EQ(tidied.code, Code::cancelled) << tidied.why;
  EXPECT_LT(tidied.seconds, kTidying_s + kSlack_s);
  catch_interrupts();
  server().signal(SIGCONT);
  expect_return(*store);
}

TEST_P(Outage, AnInterruptEndsAWaitForAPeerAndLeavesTimeToTidyUp) {
  const auto store = open_it();
  store->save("key", as_bytes("value"));
  const Ended interrupted = interrupted_in([&] {
    try {
      store->load_or_wait("absent", Deadline::in(600));
    } catch (const Error&) {
      const Tidying tidying;
      store->remove("key");
      throw;
    }
  });
  EXPECT_EQ(interrupted.code, Code::cancelled) << interrupted.why;
  EXPECT_LT(interrupted.seconds, 1 + kSlack_s);
  EXPECT_FALSE(store->load("key"));
  store->clear("");
}

// ---- bad lines ----

TEST_P(Outage, AnAnswerThatIsCutAnywhereIsAskedForAgain) {
  servers::Relay relay(server().port);
  const auto store = open_by_way_of(relay.port());
  store->save("key", as_bytes("value"));
  int harmed = 0;
  for (std::size_t after = 0; after < 400; after += after < 40 ? 1 : 9) {
    relay.cut(after);
    EXPECT_EQ(store->load("key")->text(), "value") << after;
    relay.cut(after);
    store->save("key", as_bytes("value"));
    relay.cut(after);
    EXPECT_EQ(store->list("").size(), 1U) << after;
    relay.cut(0, 0);
    harmed = relay.harmed();
  }
  EXPECT_GT(harmed, 20) << "the line was not bad enough";
  store->clear("");
}

TEST_P(Outage, AnAnswerThatComesTwiceIsNotTheNextOne) {
  servers::Relay relay(server().port);
  const auto store = open_by_way_of(relay.port());
  store->save("one", as_bytes("first"));
  store->save("two", as_bytes("second"));
  store->save("three", as_bytes("third"));
  const auto text_of = [&](const char* key) {
    const std::optional<Buffer> value = store->load(key);
    return value ? std::string(value->text()) : "nothing";
  };
  const std::vector<std::function<void()>> calls = {
      [&] { EXPECT_EQ(text_of("one"), "first"); },
      [&] { EXPECT_EQ(text_of("two"), "second"); },
      [&] { EXPECT_EQ(text_of("absent"), "nothing"); },
      [&] { EXPECT_EQ(text_of("three"), "third"); },
      [&] { EXPECT_FALSE(store->exists("absent")); },
      [&] { EXPECT_TRUE(store->exists("one")); },
      [&] { EXPECT_EQ(store->list("").size(), 3U); },
      [&] { EXPECT_FALSE(store->create("one", as_bytes("other"))); },
      [&] { store->save("two", as_bytes("second")); },
      [&] { store->remove("absent"); },
  };
  // The head and the body of S3's answers come apart, and a head that comes twice damages its own
  // answer, not the next: such a call may fail.
  const bool may_fail = GetParam() == std::string("s3");
  const auto call = [&](std::size_t i) {
    const Ended end = ended(calls[i % calls.size()]);
    EXPECT_TRUE(may_fail || end.why == "it went through") << end.why;
  };
  for (std::size_t without = 0; without < 40; without += without < 8 ? 1 : 5)
    for (std::size_t i = 0; i < calls.size(); ++i) {
      SCOPED_TRACE(fmt::format("without {}, call {}", without, i));
      relay.repeat(without);
      call(i);
      relay.repeat(0, 0);
      call(i + without + 1);
    }
  EXPECT_GT(relay.harmed(), 20) << "the line was not bad enough";
  store->clear("");
}

TEST_P(Outage, AnAnswerOfSomebodyElseIsAskedForAgain) {
  servers::Relay relay(server().port);
  const auto store = open_by_way_of(relay.port());
  store->save("key", as_bytes("value"));
  const std::string portal =
      "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nlogin";
  for (const std::string& answer :
       {portal, std::string("SSH-2.0-OpenSSH_9.2\r\n"), std::string("\r\n\r\n\r\n\r\n"),
        std::string("HTTP/1.1 302 Found\r\nLocation: http://login/\r\nContent-Length: 0\r\n\r\n"),
        std::string("\x16\x03\x01\x00\x05garbage\xff\xff\xff\xff")}) {
    relay.garble(answer);
    EXPECT_EQ(store->load("key")->text(), "value") << answer;
    relay.garble(answer);
    EXPECT_NO_THROW(store->save("key", as_bytes("value"))) << answer;
  }
  EXPECT_EQ(relay.harmed(), 10);
  // To the end of the patience, and with an exit code that says so.
  relay.garble(portal, 1 << 30);
  expect_given_up(ended([&] { store->load("key"); }), outage_s());
}

TEST_P(Outage, AnAnswerThatDripsIsGivenUp) {
  const Buffer value = noise(100'000, 1);
  servers::Relay relay(server().port);
  const auto store = open_by_way_of(relay.port());
  store->save("key", value);
  relay.drip(0.02);
  const Ended dripped = ended([&] { store->load("key"); });
  expect_given_up(dripped, outage_s());
  EXPECT_THAT(dripped.why, AnyOf(HasSubstr("too slow"), HasSubstr("no answer")));
}

}  // namespace
}  // namespace lambdaml::storage
