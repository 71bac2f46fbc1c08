#include "lambdaml/base/error.h"
#include "lambdaml/storage/decorators.h"

namespace lambdaml::storage {
namespace {

class PrefixedStorage final : public Storage {
 public:
  PrefixedStorage(std::shared_ptr<Storage> inner, std::string prefix)
      : inner_(std::move(inner)), prefix_(std::move(prefix)) {}

  Capabilities capabilities() const override { return inner_->capabilities(); }
  std::string describe() const override {
    return inner_->describe() + "/" + prefix_.substr(0, prefix_.size() - 1);
  }
  void save(std::string_view key, Bytes value) override { inner_->save(full(key), value); }
  std::optional<Buffer> load(std::string_view key) override { return inner_->load(full(key)); }
  bool create(std::string_view key, Bytes value) override {
    return inner_->create(full(key), value);
  }
  void remove(std::string_view key) override { inner_->remove(full(key)); }
  void clear(std::string_view prefix) override { inner_->clear(prefix_ + std::string(prefix)); }

  std::vector<Entry> list(std::string_view prefix) override {
    std::vector<Entry> entries = inner_->list(prefix_ + std::string(prefix));
    for (Entry& entry : entries) entry.key.erase(0, prefix_.size());
    return entries;
  }
  void save_all(std::span<const Item> items) override {
    std::vector<std::string> keys;
    keys.reserve(items.size());
    std::vector<Item> renamed;
    for (const Item& item : items) {
      keys.push_back(full(item.key));
      renamed.push_back({keys.back(), item.value});
    }
    inner_->save_all(renamed);
  }
  void remove_all(std::span<const std::string> keys) override { inner_->remove_all(full(keys)); }
  std::vector<Buffer> load_all(std::span<const std::string> keys, Deadline deadline) override {
    return inner_->load_all(full(keys), deadline);
  }

 private:
  std::string full(std::string_view key) const {
    check_key(key);
    return prefix_ + std::string(key);
  }
  std::vector<std::string> full(std::span<const std::string> keys) const {
    std::vector<std::string> out;
    out.reserve(keys.size());
    for (const std::string& key : keys) out.push_back(full(key));
    return out;
  }

  const std::shared_ptr<Storage> inner_;
  const std::string prefix_;
};

}  // namespace

std::shared_ptr<Storage> with_prefix(std::shared_ptr<Storage> inner, std::string prefix) {
  if (prefix.size() < 2 || !prefix.ends_with('/'))
    fail(Code::invalid_argument, "prefix '{}': it must end in a slash", prefix);
  check_key(std::string_view(prefix).substr(0, prefix.size() - 1));
  return std::make_shared<PrefixedStorage>(std::move(inner), std::move(prefix));
}

}  // namespace lambdaml::storage
