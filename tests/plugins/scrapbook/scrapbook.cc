#include <map>
#include <mutex>

#include "lambdaml/storage/registry.h"

/// A store with the five verbs and nothing else: a map in this process. Batches and waits are those
/// that every store inherits.
namespace lambdaml::storage::scrapbook {
namespace {

struct Pages {
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<const Buffer>, std::less<>> values;
};

Pages& pages() {
  static Pages all;
  return all;
}

class Scrapbook final : public Storage {
 public:
  Scrapbook(std::string place, std::uint64_t page_bytes)
      : place_(std::move(place)), page_bytes_(page_bytes) {}

  Capabilities capabilities() const override {
    return {.max_value_bytes = page_bytes_, .cross_process = false};
  }
  std::string describe() const override { return "scrapbook://" + place_; }

  void save(std::string_view key, Bytes value) override {
    const std::string name = name_of(key);
    auto page = std::make_shared<const Buffer>(value);
    const std::lock_guard lock(pages().mutex);
    pages().values.insert_or_assign(name, std::move(page));
  }
  std::optional<Buffer> load(std::string_view key) override {
    const std::string name = name_of(key);
    const std::lock_guard lock(pages().mutex);
    const auto at = pages().values.find(name);
    if (at == pages().values.end()) return {};
    return Buffer(at->second->view());
  }
  bool create(std::string_view key, Bytes value) override {
    const std::string name = name_of(key);
    auto page = std::make_shared<const Buffer>(value);
    const std::lock_guard lock(pages().mutex);
    return pages().values.try_emplace(name, std::move(page)).second;
  }
  void remove(std::string_view key) override {
    const std::string name = name_of(key);
    const std::lock_guard lock(pages().mutex);
    pages().values.erase(name);
  }
  std::vector<Entry> list(std::string_view prefix) override {
    const std::string begin = place_ + "/" + std::string(prefix);
    const std::lock_guard lock(pages().mutex);
    std::vector<Entry> out;
    for (auto at = pages().values.lower_bound(begin);
         at != pages().values.end() && at->first.starts_with(begin); ++at)
      out.push_back({at->first.substr(place_.size() + 1), at->second->size()});
    return out;
  }

 private:
  std::string name_of(std::string_view key) const {
    check_key(key);
    return place_ + "/" + std::string(key);
  }

  std::string place_;
  std::uint64_t page_bytes_;
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "scrapbook",
                .help = "a store of the tests",
                .open =
                    [](const Uri& uri, const Options& options, const std::shared_ptr<Patience>&) {
                      return std::make_shared<Scrapbook>(
                          uri.host + "/" + uri.path,
                          static_cast<std::uint64_t>(options.integer("page_bytes")));
                    },
                .reach = Reach::process,
                .default_uri = [] { return Uri::parse("scrapbook://default"); },
                .options = {{.name = "page_bytes",
                             .default_value = std::int64_t{1000},
                             .help = "the largest value that the store keeps in one piece",
                             .minimum = 100}}});
}

}  // namespace lambdaml::storage::scrapbook
