#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lambdaml/storage/wrapper.h"

namespace lambdaml::storage {

/// Called with the verb and the key of a call.
using FaultHook = std::function<void(std::string_view verb, std::string_view key)>;

/// Calls the hook once for each key, when it is first polled.
class FaultyWatch final : public KeyWatch {
 public:
  FaultyWatch(std::unique_ptr<KeyWatch> inner, std::vector<std::string> keys, const FaultHook& hook)
      : inner_(std::move(inner)), keys_(std::move(keys)), hook_(hook) {}

  std::vector<Arrival> next(Deadline deadline, std::size_t below) override {
    announce(below);
    return inner_->next(deadline, below);
  }
  std::vector<Arrival> poll_all() override {
    announce(keys_.size());
    return inner_->poll_all();
  }
  double receiving_s() const override { return inner_->receiving_s(); }

 private:
  void announce(std::size_t below) {
    for (; announced_ < std::min(below, keys_.size()); ++announced_)
      hook_("load", keys_[announced_]);
  }

  std::unique_ptr<KeyWatch> inner_;
  std::vector<std::string> keys_;
  const FaultHook& hook_;  ///< the store's: it may count calls
  std::size_t announced_ = 0;
};

class Faulty final : public Wrapper {
 public:
  Faulty(std::shared_ptr<Storage> inner, FaultHook hook)
      : Wrapper(std::move(inner)), hook_(std::move(hook)) {}

  void save(std::string_view key, Bytes value) override {
    hook_("save", key);
    inner().save(key, value);
  }
  std::optional<Buffer> load(std::string_view key) override {
    hook_("load", key);
    return inner().load(key);
  }
  bool create(std::string_view key, Bytes value) override {
    hook_("create", key);
    return inner().create(key, value);
  }
  void remove(std::string_view key) override {
    hook_("remove", key);
    inner().remove(key);
  }
  std::vector<Entry> list(std::string_view prefix) override {
    hook_("list", prefix);
    return inner().list(prefix);
  }
  bool exists(std::string_view key) override {
    hook_("exists", key);
    return inner().exists(key);
  }
  std::optional<Buffer> load_range(std::string_view key, std::uint64_t begin,
                                   std::uint64_t bytes) override {
    hook_("load_range", key);
    return inner().load_range(key, begin, bytes);
  }
  std::vector<std::optional<Buffer>> load_present(std::span<const std::string> keys) override {
    for (const std::string& key : keys) hook_("load", key);
    return inner().load_present(keys);
  }
  void save_all(std::span<const Item> items) override {
    for (const Item& item : items) save(item.key, item.value);
  }
  void remove_all(std::span<const std::string> keys) override {
    for (const std::string& key : keys) remove(key);
  }
  void clear(std::string_view prefix) override {
    hook_("clear", prefix);
    inner().clear(prefix);
  }
  std::unique_ptr<KeyWatch> watch(std::vector<std::string> keys) override {
    std::vector<std::string> names = keys;
    return std::make_unique<FaultyWatch>(inner().watch(std::move(keys)), std::move(names), hook_);
  }
  SumAnswer push_pull(const SumRequest& request, std::span<double> totals, std::span<float> values,
                      Deadline deadline) override {
    hook_("sum", request.key);
    return inner().aggregator()->push_pull(request, totals, values, deadline);
  }

 private:
  FaultHook hook_;
};

/// Calls `hook(verb, key)` before each call of the inner store; it may throw, sleep or kill the
/// process. Batch forms call the hook once per key; save_all() and remove_all() then proceed key by
/// key, so that a fault in the middle leaves a part done.
inline std::shared_ptr<Storage> with_faults(std::shared_ptr<Storage> inner, FaultHook hook) {
  return std::make_shared<Faulty>(std::move(inner), std::move(hook));
}

}  // namespace lambdaml::storage
