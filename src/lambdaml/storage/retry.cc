#include <algorithm>
#include <chrono>
#include <random>
#include <thread>
#include <type_traits>

#include "lambdaml/base/log.h"
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
  void save_all(std::span<const Item> items) override {
    repeat(items.empty() ? "" : items.front().key, [&] { inner().save_all(items); });
  }
  void remove_all(std::span<const std::string> keys) override {
    repeat(keys.empty() ? "" : keys.front(), [&] { inner().remove_all(keys); });
  }
  std::vector<Buffer> load_all(std::span<const std::string> keys, Deadline deadline) override {
    return repeat(
        keys.empty() ? "" : keys.front(), [&] { return inner().load_all(keys, deadline); },
        deadline);
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
        Deadline::never(), [&] { tried = true; });
  }

 private:
  static void nothing() {}

  template <class Call, class OnFailure = void (*)()>
  std::invoke_result_t<Call> repeat(std::string_view key, Call&& call,
                                    Deadline deadline = Deadline::never(),
                                    OnFailure&& on_failure = nothing) {
    double delay = policy_.first_delay_s;
    for (int attempt = 1;; ++attempt) {
      try {
        return call();
      } catch (const Error& error) {
        if (error.code() != Code::unavailable) throw;
        if (attempt >= policy_.attempts || deadline.passed())
          rethrow_with(fmt::format("{}: given up after {} tries", describe(), attempt));
        log::debug("{}: '{}': try {} of {}: {}", describe(), key, attempt, policy_.attempts,
                   error.what());
        on_failure();
      }
      std::this_thread::sleep_for(
          std::chrono::duration<double>(std::min(delay * jitter(), deadline.seconds_left())));
      delay = std::min(delay * 2, policy_.longest_delay_s);
    }
  }

  RetryPolicy policy_;
};

}  // namespace

std::shared_ptr<Storage> with_retry(std::shared_ptr<Storage> inner, RetryPolicy policy) {
  return std::make_shared<Retry>(std::move(inner), policy);
}

}  // namespace lambdaml::storage
