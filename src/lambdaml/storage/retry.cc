#include <algorithm>
#include <chrono>
#include <random>
#include <thread>

#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/rng.h"
#include "lambdaml/storage/decorators.h"

namespace lambdaml::storage {
namespace {

class RetryingStorage final : public Storage {
 private:
  template <class Call>
  auto persist(Call&& call, Deadline deadline = Deadline::never()) {
    double delay_s = policy_.first_delay_s;
    for (int attempt = 1;; ++attempt) {
      try {
        return call();
      } catch (const Error& error) {
        if (error.code() != Code::unavailable || attempt >= policy_.attempts || deadline.passed())
          throw;
        log::debug("{}; try {} of {} follows", error.what(), attempt + 1, policy_.attempts);
      }
      thread_local Rng rng(std::random_device{}());
      const double jittered = delay_s * rng.uniform(0.5, 1);
      std::this_thread::sleep_for(
          std::chrono::duration<double>(std::min(jittered, deadline.seconds_left())));
      delay_s = std::min(delay_s * 2, policy_.longest_delay_s);
    }
  }

 public:
  RetryingStorage(std::shared_ptr<Storage> inner, RetryPolicy policy)
      : inner_(std::move(inner)), policy_(policy) {}

  Capabilities capabilities() const override { return inner_->capabilities(); }
  std::string describe() const override { return inner_->describe(); }
  void save(std::string_view key, Bytes value) override {
    persist([&] { inner_->save(key, value); });
  }
  std::optional<Buffer> load(std::string_view key) override {
    return persist([&] { return inner_->load(key); });
  }
  bool create(std::string_view key, Bytes value) override {
    return persist([&] { return inner_->create(key, value); });
  }
  void remove(std::string_view key) override {
    persist([&] { inner_->remove(key); });
  }
  std::vector<Entry> list(std::string_view prefix) override {
    return persist([&] { return inner_->list(prefix); });
  }
  void clear(std::string_view prefix) override {
    persist([&] { inner_->clear(prefix); });
  }
  void save_all(std::span<const Item> items) override {
    persist([&] { inner_->save_all(items); });
  }
  void remove_all(std::span<const std::string> keys) override {
    persist([&] { inner_->remove_all(keys); });
  }
  std::vector<Buffer> load_all(std::span<const std::string> keys, Deadline deadline) override {
    return persist([&] { return inner_->load_all(keys, deadline); }, deadline);
  }

 private:
  const std::shared_ptr<Storage> inner_;
  const RetryPolicy policy_;
};

}  // namespace

std::shared_ptr<Storage> with_retry(std::shared_ptr<Storage> inner, RetryPolicy policy) {
  return std::make_shared<RetryingStorage>(std::move(inner), policy);
}

}  // namespace lambdaml::storage
