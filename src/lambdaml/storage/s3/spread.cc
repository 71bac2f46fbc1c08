#include "lambdaml/storage/s3/spread.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <iterator>
#include <mutex>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/fibers/background.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/storage/wrapper.h"

namespace lambdaml::storage::s3 {
namespace {

constexpr std::uint64_t kFoldersAtOnce = 16;

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
    std::mutex mutex;
    std::vector<Entry> all;
    each_folder([&](const std::string& folder) {
      std::vector<Entry> entries = inner().list(folder + std::string(prefix));
      for (Entry& entry : entries) entry.key.erase(0, folder.size());
      const std::lock_guard lock(mutex);
      std::ranges::move(entries, std::back_inserter(all));
      check_count(all.size(), describe());
    });
    std::ranges::sort(all, {}, &Entry::key);
    return all;
  }
  void clear(std::string_view prefix) override {
    each_folder([&](const std::string& folder) { inner().clear(folder + std::string(prefix)); });
  }

 private:
  static std::string folder_of(std::uint64_t i) { return fmt::format("{:02x}/", i); }
  /// Calls `visit` for each folder, for several at once. Throws the first error once all calls have
  /// ended.
  void each_folder(const std::function<void(const std::string&)>& visit) {
    std::atomic<std::uint64_t> next{0};
    const auto run = [&] {
      for (std::uint64_t i = next++; i < prefixes_; i = next++) visit(folder_of(i));
    };
    const bool tidies = Tidying::is_active();
    Cancellation* const cancellation = Cancellation::current();
    std::vector<Background> others;
    for (std::uint64_t i = 1; i < std::min(prefixes_, kFoldersAtOnce); ++i)
      others.emplace_back([&run, tidies, cancellation] {
        const Tidying tidying(tidies);
        const Cancellation::Scope scope(cancellation);
        run();
      });
    run();
    for (Background& other : others) other.get();
  }
  std::string placed(std::string_view key) const {
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
