#include <algorithm>
#include <optional>
#include <type_traits>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/retried.h"
#include "lambdaml/storage/wrapper.h"

namespace lambdaml::storage {
namespace {

class RetryWatch;

class Retry final : public Wrapper {
 public:
  Retry(std::shared_ptr<Storage> inner, RetryPolicy policy, std::shared_ptr<Patience> patience)
      : Wrapper(std::move(inner)), policy_(policy), patience_(std::move(patience)) {}

  void save(std::string_view key, Bytes value) override {
    repeat(key, [&] { inner().save(key, value); });
  }
  void save_gathered(std::string_view key, std::span<const Bytes> pieces) override {
    repeat(key, [&] { inner().save_gathered(key, pieces); });
  }
  std::optional<Buffer> load(std::string_view key) override {
    return repeat(key, [&] { return inner().load(key); });
  }
  bool exists(std::string_view key) override {
    return repeat(key, [&] { return inner().exists(key); });
  }
  std::optional<Buffer> load_range(std::string_view key, std::uint64_t begin,
                                   std::uint64_t bytes) override {
    return repeat(key, [&] { return inner().load_range(key, begin, bytes); });
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
  // A batch that fails continues key by key, so that a long batch completes although many calls
  // fail.
  void save_all(std::span<const Item> items) override {
    if (in_one([&] { inner().save_all(items); })) return;
    for (const Item& item : items) save(item.key, item.value);
  }
  void remove_all(std::span<const std::string> keys) override {
    if (in_one([&] { inner().remove_all(keys); })) return;
    for (const std::string& key : keys) remove(key);
  }
  void save_and_remove(std::span<const Item> items, std::span<const std::string> keys) override {
    if (in_one([&] { inner().save_and_remove(items, keys); })) return;
    Wrapper::save_and_remove(items, keys);
  }
  std::vector<std::optional<Buffer>> load_present(std::span<const std::string> keys) override {
    std::vector<std::optional<Buffer>> values;
    if (in_one([&] { values = inner().load_present(keys); })) return values;
    for (const std::string& key : keys) values.push_back(load(key));
    return values;
  }
  std::unique_ptr<KeyWatch> watch(std::vector<std::string> keys) override;

  SumAnswer push_pull(const SumRequest& request, std::span<double> totals, std::span<float> values,
                      Deadline deadline) override {
    return repeat(
        request.key,
        [&] { return inner().aggregator()->push_pull(request, totals, values, deadline); },
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
        std::nullopt, [&] { tried = true; });
  }

 private:
  friend class RetryWatch;
  static void nothing() {}

  /// Whether the call succeeded; false for a fault that may be temporary. An attempt that returns
  /// false may have sent no request to the service.
  template <class Attempt>
  bool in_one(Attempt&& attempt) {
    Patience::Call call(*patience_);
    if (!call.begin_try()) call.fail_given_up(describe());
    const auto begun = time_now();
    try {
      if constexpr (std::is_void_v<std::invoke_result_t<Attempt>>) {
        attempt();
        patience_->answered();
      } else {
        attempt() ? patience_->answered() : call.withdraw_try();
      }
      return true;
    } catch (const Error& error) {
      if (error.code() != Code::unavailable) throw;
      call.failed(begun);
      if (!call.is_hopeless(1, policy_.attempts)) return false;
      patience_->give_up();
      rethrow_tried(call, describe(), 1);
    }
  }

  template <class Attempt, class OnFailure = void (*)()>
  std::invoke_result_t<Attempt> repeat(std::string_view key, Attempt&& attempt,
                                       std::optional<Deadline> wait_until = std::nullopt,
                                       OnFailure&& on_failure = nothing) {
    return retried(
        *patience_, policy_, [this] { return describe(); }, {wait_until, key}, attempt, on_failure);
  }

  RetryPolicy policy_;
  std::shared_ptr<Patience> patience_;
};

/// If a poll of many keys fails, continues key by key until a value has arrived, so that a long
/// wait completes although many calls fail. The inner watch keeps what had arrived before the
/// failure.
class RetryWatch final : public KeyWatch {
 public:
  RetryWatch(Retry& store, std::unique_ptr<KeyWatch> inner, std::vector<std::string> keys)
      : store_(store), inner_(std::move(inner)), keys_(std::move(keys)), there_(keys_.size()) {}

  std::vector<Arrival> next(Deadline deadline, std::size_t below) override {
    std::vector<Arrival> arrivals;
    const bool went_well = store_.in_one([&] {
      arrivals = inner_->next(deadline, below);
      return !arrivals.empty();
    });
    if (!went_well) arrivals = one_by_one(std::min(below, keys_.size()), deadline, 1);
    if (went_well || !arrivals.empty()) {
      backoff_.reset();
    } else {  // the watch fails although loads do not: pause before retrying it
      sleep_until(Deadline::in(backoff_.next_s()).earlier(deadline));
    }
    return fresh(std::move(arrivals));
  }

  std::vector<Arrival> poll_all() override {
    std::vector<Arrival> arrivals;
    if (!store_.in_one([&] { arrivals = inner_->poll_all(); }))
      arrivals = one_by_one(keys_.size(), Deadline::in(0), keys_.size());
    return fresh(std::move(arrivals));
  }
  double receiving_s() const override { return inner_->receiving_s(); }

 private:
  /// Loads missing keys until `most` have been found.
  std::vector<Arrival> one_by_one(std::size_t below, Deadline deadline, std::size_t most) {
    std::vector<Arrival> arrivals;
    for (std::size_t i = 0; i < below && arrivals.size() < most; ++i) {
      if (there_[i]) continue;
      std::optional<Buffer> value = store_.repeat(
          keys_[i], [&] { return store_.inner().load(keys_[i]); }, deadline);
      if (value) arrivals.push_back({i, std::move(*value)});
    }
    return arrivals;
  }

  /// Drops values that were already loaded one by one.
  std::vector<Arrival> fresh(std::vector<Arrival> arrivals) {
    std::erase_if(arrivals, [&](const Arrival& arrival) { return there_[arrival.index]; });
    for (const Arrival& arrival : arrivals) there_[arrival.index] = true;
    return arrivals;
  }

  Retry& store_;
  std::unique_ptr<KeyWatch> inner_;
  std::vector<std::string> keys_;
  std::vector<bool> there_;
  Backoff backoff_{store_.policy_.first_delay_s, store_.policy_.longest_delay_s};
};

std::unique_ptr<KeyWatch> Retry::watch(std::vector<std::string> keys) {
  std::vector<std::string> names = keys;
  return std::make_unique<RetryWatch>(*this, inner().watch(std::move(keys)), std::move(names));
}

}  // namespace

void rethrow_tried(const Patience::Call& call, const std::string& service, int tries) {
  rethrow_with(fmt::format("{}: given up after {} {} in {}", service, tries,
                           tries == 1 ? "attempt" : "attempts", human_seconds(call.failing_s())));
}

std::shared_ptr<Storage> with_retry(std::shared_ptr<Storage> inner, RetryPolicy policy,
                                    std::shared_ptr<Patience> patience) {
  if (!patience) patience = std::make_shared<Patience>();
  return std::make_shared<Retry>(std::move(inner), policy, std::move(patience));
}

}  // namespace lambdaml::storage
