#include "lambdaml/storage/wait.h"

#include <atomic>
#include <map>
#include <mutex>
#include <thread>

#include <gmock/gmock.h>

#include "lambdaml/base/testing/manual_clock.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/testing/conformance.h"
#include "lambdaml/storage/testing/faults.h"

namespace lambdaml::storage {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::Ge;
using testing::Le;

/// A store that can only be polled, at a price; counts what it is asked. Its own watch asks for one
/// key at a time.
class Polled final : public Storage {
 public:
  explicit Polled(std::shared_ptr<Storage> inner) : inner_(std::move(inner)) {}
  Capabilities capabilities() const override {
    Capabilities out = inner_->capabilities();
    out.polling_is_expensive = true;
    return out;
  }
  std::string describe() const override { return inner_->describe(); }
  void save(std::string_view key, Bytes value) override { inner_->save(key, value); }
  std::optional<Buffer> load(std::string_view key) override {
    if (before_load) before_load();
    std::optional<Buffer> value = inner_->load(key);
    const std::lock_guard lock(mutex);
    ++(value ? downloads : in_vain)[std::string(key)];
    return value;
  }
  bool create(std::string_view key, Bytes value) override { return inner_->create(key, value); }
  void remove(std::string_view key) override { inner_->remove(key); }
  std::vector<Entry> list(std::string_view prefix) override { return inner_->list(prefix); }

  std::vector<std::optional<Buffer>> load_present(std::span<const std::string> keys) override {
    batches.push_back(keys.size());
    return Storage::load_present(keys);
  }

  std::mutex mutex;
  std::map<std::string, int> downloads, in_vain;
  std::vector<std::size_t> batches;
  std::function<void()> before_load;

 protected:
  Pacer& pacer() override { return pacer_; }

 private:
  std::shared_ptr<Storage> inner_;
  Pacer pacer_{Pacer::kExpensivePolling};
};

std::vector<std::string> numbered(int n) {
  std::vector<std::string> keys;
  for (int i = 0; i < n; ++i) keys.push_back(fmt::format("round/{}", i));
  return keys;
}

class Waits : public testing::Test {
 protected:
  std::shared_ptr<Storage> memory_ = open("memory://" + unique_place());
  std::shared_ptr<Polled> polled_ = std::make_shared<Polled>(memory_);
  /// As a job has it: prefix around cancellation around pieces around retries.
  std::shared_ptr<Storage> decorated(const std::shared_ptr<Storage>& store) const {
    return with_cancellation(with_prefix(with_chunks(with_retry(store), 1000), "job/"), [] {},
                             {.first_s = 0.001, .longest_s = 0.002});
  }
};

TEST_F(Waits, HandOverEachValueOnceAsItComes) {
  for (const bool polls : {false, true}) {
    const auto store = decorated(polls ? polled_ : memory_);
    const std::vector<std::string> keys = numbered(4);
    Wait wait(*store, keys, Deadline::in(60));
    for (const int i : {0, 3, 1, 2}) {
      const Buffer value = noise(static_cast<std::size_t>(500 + 700 * i), 1);  // some in pieces
      store->save(keys[static_cast<std::size_t>(i)], value);
      if (polls && i == 3) continue;  // the first missing key is polled, which is another
      const std::optional<Arrival> arrival = wait.next();
      ASSERT_TRUE(arrival.has_value());
      EXPECT_EQ(arrival->index, static_cast<std::size_t>(i));
      EXPECT_TRUE(std::ranges::equal(arrival->value.view(), value.view()));
    }
    EXPECT_EQ(wait.next().has_value(), polls);
    EXPECT_FALSE(wait.next().has_value());
    store->clear("");
  }
  for (const auto& [key, times] : polled_->downloads) EXPECT_EQ(times, 1) << key;
}

TEST_F(Waits, KeepWhatHasComeWhileOneKeyIsLate) {
  // Every check, of which there are hundreds, ended the wait once and dropped what had come.
  const auto store = decorated(polled_);
  const std::vector<std::string> keys = numbered(50);
  for (const std::string& key : keys)
    if (key != keys[20]) store->save(key, as_bytes(key));
  std::thread late([&] {
    pause_for(0.7);
    store->save(keys[20], as_bytes(keys[20]));
  });
  const std::vector<Buffer> values = store->load_all(keys, Deadline::in(60));
  late.join();
  for (std::size_t i = 0; i < keys.size(); ++i) EXPECT_EQ(values[i].text(), keys[i]);
  EXPECT_EQ(polled_->downloads.size(), 50U);
  for (const auto& [key, times] : polled_->downloads) EXPECT_EQ(times, 1) << key;
}

TEST_F(Waits, PollAnExpensiveStoreEverMoreRarely) {
  Pacer pacer(Pacer::kExpensivePolling);
  Pacer::Wait wait = pacer.wait_for("folder/key");
  std::vector<double> polls;
  while (wait.next_poll_s() < 180) {
    polls.push_back(wait.next_poll_s());
    wait.in_vain(wait.next_poll_s());
  }
  const auto within = [&](double begin, double end) {
    return std::ranges::count_if(polls, [&](double at) { return at >= begin && at < end; });
  };
  EXPECT_LT(within(0, 60), 40);
  EXPECT_LE(within(60, 120), 11);
  EXPECT_LE(within(120, 180), 11);
  // A short wait is not much longer than it has to be.
  for (std::size_t i = 1; i < polls.size(); ++i)
    EXPECT_LE(polls[i], std::max(1.4 * polls[i - 1], polls[i - 1] + 0.05));
}

TEST_F(Waits, ForOneOfAHundredThatIsAMinuteLateTakeFewRequests) {
  ManualClock clock;
  const ClockReplacement replaced(clock);
  const std::vector<std::string> keys = numbered(99);
  int claims_checked = 0;
  // As a job's worker has it.
  const auto store =
      with_cancellation(with_prefix(with_retry(polled_), "job/"), [&] { ++claims_checked; },
                        {.first_s = 1, .longest_s = 2, .longest_where_expensive_s = 8});
  for (const std::string& key : keys)
    if (key != keys[40]) store->save(key, as_bytes(key));
  polled_->before_load = [&] {
    if (clock.seconds() >= 60 && !memory_->exists("job/" + keys[40]))
      memory_->save("job/" + keys[40], as_bytes(keys[40]));
  };
  Wait wait(*store, keys, Deadline::in(300));
  claims_checked = 0;
  int merged_checked = 0;
  wait.add_hook({[&] { return ++merged_checked > 0; }, 1, 15});
  for (std::size_t taken = 0; taken < keys.size();) taken += wait.next_in_order().size();
  EXPECT_GE(clock.seconds(), 60);
  EXPECT_LT(clock.seconds(), 68);
  EXPECT_EQ(polled_->downloads.size(), 99U);
  for (const auto& [key, times] : polled_->downloads) EXPECT_EQ(times, 1) << key;
  int in_vain = 0;
  for (const auto& [key, times] : polled_->in_vain) in_vain += times;
  EXPECT_GT(in_vain, 20) << "it would be far behind what comes early";
  EXPECT_LT(in_vain + claims_checked + merged_checked, 60);
}

TEST_F(Waits, AskForBatchesAgainAfterOneKeyWasLate) {
  // Once all 45 keys behind a late one were asked for one after another: 1.5 s of a round over S3.
  ManualClock clock;
  const ClockReplacement replaced(clock);
  const std::vector<std::string> keys = numbered(48);
  for (const std::string& key : keys)
    if (key != keys[3]) memory_->save(key, as_bytes(key));
  polled_->before_load = [&] {
    if (clock.seconds() >= 0.02 && !memory_->exists(keys[3])) memory_->save(keys[3], {});
  };
  Pacer pacer(Pacer::kExpensivePolling);
  const auto watch = watch_by_polling(*polled_, keys, pacer, 32);
  std::size_t come = 0;
  while (come < keys.size()) come += watch->next(Deadline::in(60), keys.size()).size();
  EXPECT_THAT(polled_->batches, ElementsAre(4, 2, 4, 8, 16, Ge(10)));
  int in_vain = 0;
  for (const auto& [key, times] : polled_->in_vain) in_vain += times;
  EXPECT_LE(in_vain, 8);
}

TEST_F(Waits, InOrderHoldNoMoreThanTheirWindow) {
  for (const auto& store : {decorated(memory_), decorated(polled_)}) {
    const std::vector<std::string> keys = numbered(40);
    for (const std::string& key : keys)
      if (key != keys[0]) store->save(key, as_bytes(key));
    polled_->downloads.clear();
    Wait wait(*store, keys, Deadline::in(60));
    wait.load_ahead_at_most(8);
    std::thread late([&] {
      pause_for(0.05);
      store->save(keys[0], as_bytes(keys[0]));
    });
    std::size_t taken = 0;
    while (true) {
      const std::vector<Buffer> run = wait.next_in_order();
      if (run.empty()) break;
      EXPECT_LE(run.size(), 8U);
      for (const Buffer& value : run) EXPECT_EQ(value.text(), keys[taken++]);
      EXPECT_LE(polled_->downloads.size(), taken);
      EXPECT_EQ(wait.taken(), taken);
    }
    late.join();
    EXPECT_EQ(taken, 40U);
    store->clear("");
  }
}

TEST_F(Waits, NameWhatIsMissingAndNothingElse) {
  for (const auto& store : {decorated(memory_), decorated(polled_)}) {
    const std::vector<std::string> keys = numbered(5);
    store->save(keys[1], as_bytes("x"));
    store->save(keys[4], as_bytes("x"));
    Wait wait(*store, keys, Deadline::in(0.05));
    std::vector<std::size_t> come;
    try {
      while (const std::optional<Arrival> arrival = wait.next()) come.push_back(arrival->index);
      ADD_FAILURE();
    } catch (const MissingKeys& missing) {
      EXPECT_THAT(missing.keys(), ElementsAre(keys[0], keys[2], keys[3]));
    }
    EXPECT_THAT(come, ElementsAre(1, 4));
    store->clear("");
  }
}

TEST_F(Waits, CallHooksAfterPausesThatDouble) {
  Wait wait(*polled_, {"never"}, Deadline::never());
  std::vector<double> calls;
  const Stopwatch clock;
  wait.add_hook({[&] {
                   calls.push_back(clock.seconds());
                   return calls.size() < 6;
                 },
                 0.01, 0.04});
  EXPECT_FALSE(wait.next().has_value());
  ASSERT_EQ(calls.size(), 6U);
  EXPECT_GE(calls.back(), 0.01 + 0.02 + 3 * 0.04);
  EXPECT_LT(calls.back(), 10);
  // Hooks wake the wait, but that is no reason to poll.
  EXPECT_THAT(polled_->in_vain["never"], AllOf(Ge(3), Le(15)));
}

TEST_F(Waits, EndWithWhatAHookThrows) {
  Wait wait(*memory_, {"never"}, Deadline::never());
  wait.add_hook({[]() -> bool { fail(Code::cancelled, "no longer wanted"); }, 0.001, 0.001});
  EXPECT_THROW(wait.next(), Error);
}

TEST_F(Waits, GoOnAfterAnError) {
  std::atomic<int> failures{3};
  const auto store =
      with_retry(with_faults(memory_,
                             [&](std::string_view, std::string_view) {
                               if (failures-- > 0)
                                 fail(Code::unavailable, "no answer from the service");
                             }),
                 {.first_delay_s = 1e-4});
  std::thread late([&] {
    pause_for(0.02);
    memory_->save("a", as_bytes("1"));
    memory_->save("b", as_bytes("2"));
  });
  const std::vector<std::string> keys = {"a", "b"};
  EXPECT_EQ(store->load_all(keys, Deadline::in(60))[1].text(), "2");
  late.join();
}

}  // namespace
}  // namespace lambdaml::storage
