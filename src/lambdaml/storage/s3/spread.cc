#include "lambdaml/storage/s3/spread.h"

#include <algorithm>

#include "lambdaml/base/checksum.h"
#include "lambdaml/storage/wrapper.h"

namespace lambdaml::storage::s3 {
namespace {

class Spread final : public Wrapper {
 public:
  Spread(std::shared_ptr<Storage> inner, std::uint64_t prefixes)
      : Wrapper(std::move(inner)), prefixes_(prefixes) {}

  void save(std::string_view key, Bytes value) override { inner().save(placed(key), value); }
  std::optional<Buffer> load(std::string_view key) override { return inner().load(placed(key)); }
  bool create(std::string_view key, Bytes value) override {
    return inner().create(placed(key), value);
  }
  void remove(std::string_view key) override { inner().remove(placed(key)); }
  bool exists(std::string_view key) override { return inner().exists(placed(key)); }
  std::optional<Buffer> load_range(std::string_view key, std::uint64_t begin,
                                   std::uint64_t bytes) override {
    return inner().load_range(placed(key), begin, bytes);
  }
  std::vector<std::optional<Buffer>> load_present(std::span<const std::string> keys) override {
    return inner().load_present(placed_all(keys));
  }
  void save_all(std::span<const Item> items) override {
    std::vector<std::string> keys;
    keys.reserve(items.size());
    std::vector<Item> spread;
    for (const Item& item : items)
      spread.push_back({keys.emplace_back(placed(item.key)), item.value});
    inner().save_all(spread);
  }
  void remove_all(std::span<const std::string> keys) override {
    inner().remove_all(placed_all(keys));
  }
  std::unique_ptr<KeyWatch> watch(std::vector<std::string> keys) override {
    return inner().watch(placed_all(keys));
  }

  std::vector<Entry> list(std::string_view prefix) override {
    std::vector<Entry> all;
    for (std::uint64_t i = 0; i < prefixes_; ++i) {
      const std::string folder = folder_of(i);
      for (Entry& entry : inner().list(folder + std::string(prefix))) {
        entry.key.erase(0, folder.size());
        all.push_back(std::move(entry));
      }
      check_count(all.size(), describe());
    }
    std::ranges::sort(all, {}, &Entry::key);
    return all;
  }
  void clear(std::string_view prefix) override {
    for (std::uint64_t i = 0; i < prefixes_; ++i) inner().clear(folder_of(i) + std::string(prefix));
  }

 private:
  static std::string folder_of(std::uint64_t i) { return fmt::format("{:02x}/", i); }
  std::string placed(std::string_view key) const {
    check_text_key(key);
    return folder_of(checksum(as_bytes(key)) % prefixes_) + std::string(key);
  }
  std::vector<std::string> placed_all(std::span<const std::string> keys) const {
    std::vector<std::string> out;
    out.reserve(keys.size());
    for (const std::string& key : keys) out.push_back(placed(key));
    return out;
  }

  const std::uint64_t prefixes_;
};

}  // namespace

std::shared_ptr<Storage> with_spread(std::shared_ptr<Storage> inner, std::int64_t prefixes) {
  if (prefixes <= 1) return inner;
  return std::make_shared<Spread>(std::move(inner), static_cast<std::uint64_t>(prefixes));
}

}  // namespace lambdaml::storage::s3
