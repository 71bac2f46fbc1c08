#include <condition_variable>
#include <map>
#include <mutex>

#include "lambdaml/base/error.h"
#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/registry.h"

namespace lambdaml::storage::memory {
namespace {

/// A map and a lock: the whole contract of Storage in its simplest form, and the reference in
/// tests. Workers that share it are threads of one process. Waiting costs nothing: a save wakes the
/// waiters.
class MemoryStorage final : public Storage {
 public:
  explicit MemoryStorage(std::string name) : name_(std::move(name)) {}

  Capabilities capabilities() const override {
    Capabilities capabilities;
    capabilities.cross_process = false;
    return capabilities;
  }
  std::string describe() const override { return "memory://" + name_; }

  void save(std::string_view key, Bytes value) override {
    check_key(key);
    auto copy = std::make_shared<const Buffer>(value);
    {
      const std::lock_guard lock(mutex_);
      values_.insert_or_assign(std::string(key), std::move(copy));
    }
    saved_.notify_all();
  }

  std::optional<Buffer> load(std::string_view key) override {
    check_key(key);
    const std::shared_ptr<const Buffer> value = find(key);
    if (!value) return {};
    return Buffer(value->view());
  }

  bool create(std::string_view key, Bytes value) override {
    check_key(key);
    auto copy = std::make_shared<const Buffer>(value);
    {
      const std::lock_guard lock(mutex_);
      if (!values_.try_emplace(std::string(key), std::move(copy)).second) return false;
    }
    saved_.notify_all();
    return true;
  }

  void remove(std::string_view key) override {
    check_key(key);
    const std::lock_guard lock(mutex_);
    if (const auto it = values_.find(key); it != values_.end()) values_.erase(it);
  }

  std::vector<Entry> list(std::string_view prefix) override {
    const std::lock_guard lock(mutex_);
    std::vector<Entry> entries;
    for (auto it = values_.lower_bound(prefix);
         it != values_.end() && it->first.starts_with(prefix); ++it)
      entries.push_back({it->first, it->second->size()});
    return entries;
  }

  std::vector<Buffer> load_all(std::span<const std::string> keys, Deadline deadline) override {
    for (const std::string& key : keys) check_key(key);
    const Stopwatch clock;
    std::vector<std::shared_ptr<const Buffer>> found(keys.size());
    {
      std::unique_lock lock(mutex_);
      while (true) {
        std::vector<std::string> missing;
        for (std::size_t i = 0; i < keys.size(); ++i) {
          const auto it = values_.find(keys[i]);
          if (it == values_.end())
            missing.push_back(keys[i]);
          else
            found[i] = it->second;
        }
        if (missing.empty()) break;
        if (deadline.passed()) fail_missing(describe(), missing, clock.seconds());
        saved_.wait_for(lock,
                        std::chrono::duration<double>(std::min(deadline.seconds_left(), 3600.0)));
      }
    }
    std::vector<Buffer> values;
    for (const auto& value : found) values.emplace_back(value->view());
    return values;
  }

 private:
  std::shared_ptr<const Buffer> find(std::string_view key) {
    const std::lock_guard lock(mutex_);
    const auto it = values_.find(key);
    return it == values_.end() ? nullptr : it->second;
  }

  const std::string name_;
  std::mutex mutex_;
  std::condition_variable saved_;
  std::map<std::string, std::shared_ptr<const Buffer>, std::less<>> values_;
};

/// All who open a name share one store, which lives as long as the process.
std::shared_ptr<Storage> open(const Uri& uri) {
  static std::mutex mutex;
  static std::map<std::string, std::shared_ptr<Storage>> stores;
  const std::lock_guard lock(mutex);
  std::shared_ptr<Storage>& store = stores[uri.host];
  if (!store) store = std::make_shared<MemoryStorage>(uri.host);
  return uri.path.empty() ? store : with_prefix(store, uri.path + "/");
}

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "memory",
                .help = "within one process; memory://NAME",
                .open = open,
                .default_uri = [] { return Uri::parse("memory://default"); }});
}

}  // namespace lambdaml::storage::memory
