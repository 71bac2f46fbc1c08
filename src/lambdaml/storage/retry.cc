#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <random>
#include <thread>
#include <type_traits>

#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"
#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/wrapper.h"

namespace lambdaml::storage {
namespace {

/// A factor in [0.5, 1): workers that failed together do not come back together.
double jitter() {
  thread_local std::minstd_rand random(std::random_device{}());
  return std::uniform_real_distribution<double>(0.5, 1.0)(random);
}

class Retry final : public Wrapper {
 public:
  Retry(std::shared_ptr<Storage> inner, RetryPolicy policy)
      : Wrapper(std::move(inner)), policy_(policy) {}

  void save(std::string_view key, Bytes value) override {
    repeat(key, [&] { inner().save(key, value); });
  }
  std::optional<Buffer> load(std::string_view key) override {
    return repeat(key, [&] { return inner().load(key); });
  }
  void remove(std::string_view key) override {
    repeat(key, [&] { inner().remove(key); });
  }
  std::vector<Entry> list(std::string_view prefix) override {
    return repeat(prefix, [&] { return inner().list(prefix); });
  }
  void clear(std::string_view prefix) override {
    repeat(prefix, [&] { inner().clear(prefix); });
  }
  // A batch that fails goes on key by key, so that a long one ends although many calls fail.
  void save_all(std::span<const Item> items) override {
    if (in_one([&] { inner().save_all(items); })) return;
    for (const Item& item : items) save(item.key, item.value);
  }
  void remove_all(std::span<const std::string> keys) override {
    if (in_one([&] { inner().remove_all(keys); })) return;
    for (const std::string& key : keys) remove(key);
  }
  std::vector<Buffer> load_all(std::span<const std::string> keys, Deadline deadline) override {
    std::vector<Buffer> values;
    if (in_one([&] { values = inner().load_all(keys, deadline); })) return values;
    const Stopwatch waited;
    std::vector<std::string> missing;
    for (const std::string& key : keys) {
      try {
        values.push_back(repeat(
            key, [&] { return inner().load_or_wait(key, deadline); }, deadline));
      } catch (const MissingKeys&) {
        missing.push_back(key);
      }
    }
    if (!missing.empty()) fail_missing(describe(), missing, waited.seconds());
    return values;
  }

  SumAnswer sum(const SumRequest& request, std::span<double> totals, std::span<float> values,
                Deadline deadline) override {
    return repeat(
        request.key, [&] { return inner().sum(request, totals, values, deadline); }, deadline);
  }

  bool create(std::string_view key, Bytes value) override {
    bool tried = false;
    return repeat(
        key,
        [&] {
          if (inner().create(key, value)) return true;
          if (!tried) {
            tried = true;
            return false;
          }
          const std::optional<Buffer> there = inner().load(key);
          return there && std::ranges::equal(there->view(), value);
        },
        std::nullopt, [&] { tried = true; });
  }

 private:
  static void nothing() {}

  /// Whether the call went through; false for a fault that may pass.
  template <class Call>
  bool in_one(Call&& call) {
    try {
      noting_success(call);
      return true;
    } catch (const Error& error) {
      if (error.code() != Code::unavailable) throw;
      return false;
    }
  }

  /// `wait_until` is the deadline of a call that waits. A wait that went well for longer than the
  /// longest delay before it failed is no try in a row of failures: the count begins anew. Any
  /// other call that takes long and fails is one more. When the deadline passes within an outage,
  /// the wait still looks once the service is back: nobody knows before whether the keys are there.
  template <class Call, class OnFailure = void (*)()>
  std::invoke_result_t<Call> repeat(std::string_view key, Call&& call,
                                    std::optional<Deadline> wait_until = std::nullopt,
                                    OnFailure&& on_failure = nothing) {
    // With a deadline that has passed before, a wait is a look, and repeated like one.
    const bool waits = wait_until && !wait_until->passed();
    double delay = policy_.first_delay_s;
    Stopwatch failing;
    for (int attempt = 1;; ++attempt) {
      const Stopwatch clock;
      try {
        return noting_success(call);
      } catch (const Error& error) {
        if (error.code() != Code::unavailable) throw;
        const bool late = waits && wait_until->passed();
        if (is_hopeless(attempt, failing.seconds()) || (late && !has_answered_))
          rethrow_with(fmt::format("{}: given up after {} tries in {}", describe(), attempt,
                                   human_seconds(failing.seconds())));
        log::debug("{}: '{}': try {}: {}", describe(), key, attempt, error.what());
        on_failure();
      }
      if (waits && clock.seconds() > policy_.longest_delay_s) {
        attempt = 0;
        delay = policy_.first_delay_s;
        failing = Stopwatch();
      }
      const double pause = delay * jitter();
      std::this_thread::sleep_for(std::chrono::duration<double>(
          waits && !wait_until->passed() ? std::min(pause, wait_until->seconds_left()) : pause));
      delay = std::min(delay * 2, policy_.longest_delay_s);
    }
  }

  template <class Call>
  std::invoke_result_t<Call> noting_success(Call&& call) {
    if constexpr (std::is_void_v<std::invoke_result_t<Call>>) {
      call();
      has_answered_ = true;
    } else {
      auto result = call();
      has_answered_ = true;
      return result;
    }
  }

  bool is_hopeless(int attempts, double failing_s) const {
    if (has_answered_) return attempts >= policy_.attempts && failing_s >= policy_.outage_s;
    return attempts >= policy_.attempts || failing_s >= policy_.first_contact_s;
  }

  std::atomic<bool> has_answered_{false};
  RetryPolicy policy_;
};

}  // namespace

std::shared_ptr<Storage> with_retry(std::shared_ptr<Storage> inner, RetryPolicy policy) {
  return std::make_shared<Retry>(std::move(inner), policy);
}

}  // namespace lambdaml::storage
