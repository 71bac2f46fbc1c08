#include <condition_variable>
#include <map>
#include <mutex>

#include "lambdaml/base/wait.h"
#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/registry.h"
#include "lambdaml/storage/wait.h"

/// The simplest store, and the one to read first when writing another: a map in this process. It
/// shows what a store must provide: `save` and `load` copy, so callers never share memory by
/// accident; a wait sleeps until something changes; absence is std::nullopt.
namespace lambdaml::storage::memory {
namespace {

/// An entry. Values never change once they are in the map; a save replaces the old value by a new
/// one, so a reader may copy outside the lock.
struct Shelf {
  using Value = std::shared_ptr<const Buffer>;

  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::string, Value, std::less<>> values;

  /// Null if absent. Requires the lock.
  Value find(std::string_view key) const {
    const auto at = values.find(key);
    return at == values.end() ? nullptr : at->second;
  }
};

/// A wait sleeps until something on the shelf changes.
class Watch final : public ListedKeyWatch {
 public:
  Watch(std::shared_ptr<Shelf> shelf, std::vector<std::string> keys)
      : ListedKeyWatch(std::move(keys)), shelf_(std::move(shelf)) {}

 private:
  void wait(Deadline deadline, std::size_t below) override {
    const std::vector<std::size_t> wanted = missing(below);
    std::vector<std::pair<std::size_t, Shelf::Value>> come;
    std::unique_lock lock(shelf_->mutex);
    wait_until(shelf_->changed, lock, deadline, [&] {
      come = there(wanted);
      return !come.empty();
    });
    lock.unlock();
    timed([&] { take(come); });
  }
  void look_up(std::span<const std::size_t> which) override {
    std::unique_lock lock(shelf_->mutex);
    const auto come = there(which);
    lock.unlock();
    take(come);
  }

  std::vector<std::pair<std::size_t, Shelf::Value>> there(
      std::span<const std::size_t> wanted) const {
    std::vector<std::pair<std::size_t, Shelf::Value>> out;
    for (const std::size_t i : wanted)
      if (Shelf::Value value = shelf_->find(key(i))) out.emplace_back(i, std::move(value));
    return out;
  }
  void take(const std::vector<std::pair<std::size_t, Shelf::Value>>& come) {
    for (const auto& [i, value] : come) found(i, Buffer(value->view()));
  }

  std::shared_ptr<Shelf> shelf_;
};

class Memory final : public Storage {
 public:
  Memory(std::string name, std::shared_ptr<Shelf> shelf)
      : name_(std::move(name)), shelf_(std::move(shelf)) {}

  Capabilities capabilities() const override { return {.cross_process = false}; }
  std::string describe() const override { return "memory://" + name_; }

  void save(std::string_view key, Bytes value) override {
    check_key(key);
    auto copy = std::make_shared<const Buffer>(value);
    {
      const std::lock_guard lock(shelf_->mutex);
      shelf_->values.insert_or_assign(std::string(key), std::move(copy));
    }
    shelf_->changed.notify_all();
  }

  std::optional<Buffer> load(std::string_view key) override {
    check_key(key);
    std::unique_lock lock(shelf_->mutex);
    const Shelf::Value value = shelf_->find(key);
    lock.unlock();
    if (!value) return {};
    return Buffer(value->view());
  }

  bool exists(std::string_view key) override {
    check_key(key);
    const std::lock_guard lock(shelf_->mutex);
    return shelf_->values.contains(key);
  }

  std::optional<Buffer> load_range(std::string_view key, std::uint64_t begin,
                                   std::uint64_t bytes) override {
    check_key(key);
    std::unique_lock lock(shelf_->mutex);
    const Shelf::Value value = shelf_->find(key);
    lock.unlock();
    if (!value) return {};
    return Buffer(part_of_value(*value, begin, bytes));
  }

  bool create(std::string_view key, Bytes value) override {
    check_key(key);
    auto copy = std::make_shared<const Buffer>(value);
    {
      const std::lock_guard lock(shelf_->mutex);
      if (!shelf_->values.try_emplace(std::string(key), std::move(copy)).second) return false;
    }
    shelf_->changed.notify_all();
    return true;
  }

  void remove(std::string_view key) override {
    check_key(key);
    const std::lock_guard lock(shelf_->mutex);
    const auto at = shelf_->values.find(key);
    if (at != shelf_->values.end()) shelf_->values.erase(at);
  }

  std::vector<Entry> list(std::string_view prefix) override {
    const std::lock_guard lock(shelf_->mutex);
    std::vector<Entry> entries;
    for (auto at = shelf_->values.lower_bound(prefix);
         at != shelf_->values.end() && at->first.starts_with(prefix); ++at)
      entries.push_back({at->first, at->second->size()});
    return entries;
  }

  std::unique_ptr<KeyWatch> watch(std::vector<std::string> keys) override {
    return std::make_unique<Watch>(shelf_, std::move(keys));
  }

 private:
  std::string name_;
  std::shared_ptr<Shelf> shelf_;
};

/// Everyone who opens a name gets the same map for as long as the process runs: a worker may close
/// its store before another opens it.
std::shared_ptr<Shelf> shelf_named(const std::string& name) {
  static std::mutex mutex;
  static std::map<std::string, std::shared_ptr<Shelf>> shelves;
  const std::lock_guard lock(mutex);
  std::shared_ptr<Shelf>& shelf = shelves[name];
  if (!shelf) shelf = std::make_shared<Shelf>();
  return shelf;
}

std::shared_ptr<Storage> open(const Uri& uri, const Options&, const std::shared_ptr<Patience>&) {
  if (uri.port || !uri.query.empty())
    fail(Code::invalid_argument, "{}: a memory store takes a name only: memory://name",
         uri.display());
  auto store = std::make_shared<Memory>(uri.host, shelf_named(uri.host));
  if (uri.path.empty()) return store;
  return with_prefix(std::move(store), uri.path + "/");
}

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "memory",
                .help = "a store within one process",
                .open = open,
                .reach = Reach::process,
                .default_uri = [] { return Uri::parse("memory://default"); }});
}

}  // namespace lambdaml::storage::memory
