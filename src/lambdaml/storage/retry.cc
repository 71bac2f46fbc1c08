#include <algorithm>
#include <optional>
#include <type_traits>

#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/retried.h"
#include "lambdaml/storage/wrapper.h"

namespace lambdaml::storage {
namespace {

class Retry final : public Wrapper {
 public:
  Retry(std::shared_ptr<Storage> inner, RetryPolicy policy, std::shared_ptr<Patience> patience)
      : Wrapper(std::move(inner)), policy_(policy), patience_(std::move(patience)) {}

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
  static void nothing() {}

  /// Whether the call went through; false for a fault that may pass.
  template <class Attempt>
  bool in_one(Attempt&& attempt) {
    Patience::Call call(*patience_);
    if (!call.begin_try()) call.fail_given_up(describe());
    const auto begun = Deadline::Clock::now();
    try {
      attempt();
      patience_->answered();
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

}  // namespace

void rethrow_tried(const Patience::Call& call, const std::string& service, int tries) {
  rethrow_with(fmt::format("{}: given up after {} {} in {}", service, tries,
                           tries == 1 ? "try" : "tries", human_seconds(call.failing_s())));
}

std::shared_ptr<Storage> with_retry(std::shared_ptr<Storage> inner, RetryPolicy policy,
                                    std::shared_ptr<Patience> patience) {
  if (!patience) patience = std::make_shared<Patience>();
  return std::make_shared<Retry>(std::move(inner), policy, std::move(patience));
}

}  // namespace lambdaml::storage
