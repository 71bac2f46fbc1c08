#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/wrapper.h"

namespace lambdaml::storage {
namespace {

class Prefix final : public Wrapper {
 public:
  Prefix(std::shared_ptr<Storage> inner, std::string prefix, bool of_others)
      : Wrapper(std::move(inner)), prefix_(std::move(prefix)) {
    if (!prefix_.ends_with('/'))
      fail(Code::internal, "the key prefix '{}' does not end in a slash", prefix_);
    if (!of_others) check_key(std::string_view(prefix_).substr(0, prefix_.size() - 1));
  }

  std::string describe() const override {
    const std::string place = inner().describe();
    return fmt::format("{}{}{}", place, place.ends_with('/') ? "" : "/",
                       std::string_view(prefix_).substr(0, prefix_.size() - 1));
  }
  void save(std::string_view key, Bytes value) override { inner().save(full(key), value); }
  void save_gathered(std::string_view key, std::span<const Bytes> pieces) override {
    inner().save_gathered(full(key), pieces);
  }
  std::optional<Buffer> load(std::string_view key) override { return inner().load(full(key)); }
  bool create(std::string_view key, Bytes value) override {
    return inner().create(full(key), value);
  }
  void remove(std::string_view key) override { inner().remove(full(key)); }
  void clear(std::string_view prefix) override { inner().clear(full(prefix)); }

  std::vector<Entry> list(std::string_view prefix) override {
    std::vector<Entry> entries = inner().list(full(prefix));
    for (Entry& entry : entries) entry.key.erase(0, prefix_.size());
    return entries;
  }

  bool exists(std::string_view key) override { return inner().exists(full(key)); }
  std::optional<Buffer> load_range(std::string_view key, std::uint64_t begin,
                                   std::uint64_t bytes) override {
    return inner().load_range(full(key), begin, bytes);
  }
  std::vector<std::optional<Buffer>> load_present(std::span<const std::string> keys) override {
    return inner().load_present(full_all(keys));
  }

  void save_all(std::span<const Item> items) override {
    std::vector<std::string> names;
    inner().save_all(prefixed(items, names));
  }
  void remove_all(std::span<const std::string> keys) override {
    inner().remove_all(full_all(keys));
  }
  void save_and_remove(std::span<const Item> items, std::span<const std::string> keys) override {
    std::vector<std::string> names;
    inner().save_and_remove(prefixed(items, names), full_all(keys));
  }

  // A Wait names keys as the caller gave them, without the prefix.
  std::unique_ptr<KeyWatch> watch(std::vector<std::string> keys) override {
    return inner().watch(full_all(keys));
  }

  SumAnswer push_pull(const SumRequest& request, std::span<double> totals, std::span<float> values,
                      Deadline deadline) override {
    const std::string key = full(request.key);
    SumRequest prefixed = request;
    prefixed.key = key;
    return inner().aggregator()->push_pull(prefixed, totals, values, deadline);
  }

 private:
  std::string full(std::string_view key) const { return prefix_ + std::string(key); }
  /// The items with their full keys, which `names` holds.
  std::vector<Item> prefixed(std::span<const Item> items, std::vector<std::string>& names) const {
    names.reserve(items.size());
    std::vector<Item> out;
    out.reserve(items.size());
    for (const Item& item : items) out.push_back({names.emplace_back(full(item.key)), item.value});
    return out;
  }
  std::vector<std::string> full_all(std::span<const std::string> keys) const {
    std::vector<std::string> out;
    out.reserve(keys.size());
    for (const std::string& key : keys) out.push_back(full(key));
    return out;
  }

  std::string prefix_;
};

}  // namespace

std::shared_ptr<Storage> with_prefix(std::shared_ptr<Storage> inner, std::string prefix,
                                     bool of_others) {
  return std::make_shared<Prefix>(std::move(inner), std::move(prefix), of_others);
}

}  // namespace lambdaml::storage
