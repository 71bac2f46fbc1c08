#include "lambdaml/storage/decorators.h"

namespace lambdaml::storage {
namespace {

class FaultyStorage final : public Storage {
 public:
  FaultyStorage(std::shared_ptr<Storage> inner, FaultHook hook)
      : inner_(std::move(inner)), hook_(std::move(hook)) {}

  Capabilities capabilities() const override { return inner_->capabilities(); }
  std::string describe() const override { return inner_->describe(); }
  void save(std::string_view key, Bytes value) override {
    hook_("save", key);
    inner_->save(key, value);
  }
  std::optional<Buffer> load(std::string_view key) override {
    hook_("load", key);
    return inner_->load(key);
  }
  bool create(std::string_view key, Bytes value) override {
    hook_("create", key);
    return inner_->create(key, value);
  }
  void remove(std::string_view key) override {
    hook_("remove", key);
    inner_->remove(key);
  }
  std::vector<Entry> list(std::string_view prefix) override {
    hook_("list", prefix);
    return inner_->list(prefix);
  }
  void clear(std::string_view prefix) override {
    hook_("clear", prefix);
    inner_->clear(prefix);
  }
  void save_all(std::span<const Item> items) override {
    for (const Item& item : items) hook_("save", item.key);
    inner_->save_all(items);
  }
  void remove_all(std::span<const std::string> keys) override {
    for (const std::string& key : keys) hook_("remove", key);
    inner_->remove_all(keys);
  }
  std::vector<Buffer> load_all(std::span<const std::string> keys, Deadline deadline) override {
    for (const std::string& key : keys) hook_("load", key);
    return inner_->load_all(keys, deadline);
  }

 private:
  const std::shared_ptr<Storage> inner_;
  const FaultHook hook_;
};

}  // namespace

std::shared_ptr<Storage> with_faults(std::shared_ptr<Storage> inner, FaultHook hook) {
  return std::make_shared<FaultyStorage>(std::move(inner), std::move(hook));
}

}  // namespace lambdaml::storage
