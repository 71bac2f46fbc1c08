#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lambdaml/storage/aggregator.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/storage/wait.h"

namespace lambdaml::storage {

/// A store that forwards everything to another; decorators override what they change. One that
/// changes values, errors or counts must also override watch() and wrap the inner store's watch:
/// waits (storage::Wait, load_all()) get their values from the watch, not from load(). Has an
/// aggregator if the inner store has one. save_and_remove() calls save_all() and remove_all() of
/// the decorator until it overrides that too. Thread-safe as every Storage.
class Wrapper : public Storage, public Aggregator {
 public:
  explicit Wrapper(std::shared_ptr<Storage> inner) : inner_(std::move(inner)) {}

  Capabilities capabilities() const override { return inner_->capabilities(); }
  std::string describe() const override { return inner_->describe(); }
  void save(std::string_view key, Bytes value) override { inner_->save(key, value); }
  std::optional<Buffer> load(std::string_view key) override { return inner_->load(key); }
  bool create(std::string_view key, Bytes value) override { return inner_->create(key, value); }
  void remove(std::string_view key) override { inner_->remove(key); }
  std::vector<Entry> list(std::string_view prefix) override { return inner_->list(prefix); }
  bool exists(std::string_view key) override { return inner_->exists(key); }
  std::optional<Buffer> load_range(std::string_view key, std::uint64_t begin,
                                   std::uint64_t bytes) override {
    return inner_->load_range(key, begin, bytes);
  }
  std::vector<std::optional<Buffer>> load_present(std::span<const std::string> keys) override {
    return inner_->load_present(keys);
  }
  void save_all(std::span<const Item> items) override { inner_->save_all(items); }
  void remove_all(std::span<const std::string> keys) override { inner_->remove_all(keys); }
  void clear(std::string_view prefix) override { inner_->clear(prefix); }
  std::unique_ptr<KeyWatch> watch(std::vector<std::string> keys) override {
    return inner_->watch(std::move(keys));
  }
  void add_hooks(Wait& wait) override { inner_->add_hooks(wait); }
  Aggregator* aggregator() override { return inner_->aggregator() == nullptr ? nullptr : this; }
  SumAnswer push_pull(const SumRequest& request, std::span<double> totals, std::span<float> values,
                      Deadline deadline) override {
    return inner_->aggregator()->push_pull(request, totals, values, deadline);
  }
  void take_share(double share) override { inner_->take_share(share); }
  bool count_into(std::shared_ptr<Meter> meter) override {
    return inner_->count_into(std::move(meter));
  }

 protected:
  Storage& inner() const { return *inner_; }

 private:
  std::shared_ptr<Storage> inner_;
};

}  // namespace lambdaml::storage
