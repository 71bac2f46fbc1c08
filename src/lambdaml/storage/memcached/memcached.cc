#include <algorithm>
#include <type_traits>

#include "lambdaml/base/text.h"
#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/key_index.h"
#include "lambdaml/storage/memcached/client.h"
#include "lambdaml/storage/memcached/names.h"
#include "lambdaml/storage/pool.h"
#include "lambdaml/storage/registry.h"
#include "lambdaml/storage/wait.h"

namespace lambdaml::storage::memcached {
namespace {

/// An item's overhead besides its value: header, name and the server's rounding.
constexpr std::uint64_t kItemOverhead = 512 + kMostFrameBytes;

/// Keys are items, spread over the servers. The index tracks which exist; other items on the
/// servers are never touched.
class Memcached final : public Storage {
 public:
  Memcached(Address address, const std::shared_ptr<Patience>& patience)
      : address_(std::move(address)),
        clients_([this, patience] { return std::make_unique<Client>(address_, patience); },
                 patience),
        max_value_bytes_(with_server("opening", address_.prefix, 1, [](Client& client) {
          const std::uint64_t most = client.item_size_max();
          return most > 2 * kItemOverhead ? most - kItemOverhead : most / 2;
        })) {}

  Capabilities capabilities() const override {
    return {.max_value_bytes = max_value_bytes_, .durable = false, .keeps_index = true};
  }
  std::string describe() const override { return address_.endpoint(); }

  bool count_into(std::shared_ptr<Meter> meter) override {
    meter_ = meter;
    index_.count_into(std::move(meter));
    return true;
  }

  void save(std::string_view key, Bytes value) override {
    const Item item{key, value};
    save_all({&item, 1});
  }

  /// One request per key, plus one for each folder with keys that are new to this handle.
  void save_all(std::span<const Item> items) override {
    for (const Item& item : items) check_text_key(item.key);
    if (items.empty()) return;
    with_server("saving", items.front().key, items.size(), [&](Client& client) {
      std::vector<std::string_view> keys;
      std::vector<const Item*> fresh;
      for (const Item& item : items) {
        if (index_.knows(item.key) && put(item, [&](std::string_view name, Bytes value) {
              return client.replace(name, value);
            }))
          continue;
        keys.push_back(item.key);
        fresh.push_back(&item);
      }
      if (fresh.empty()) return;
      index_.note_around(client, keys, [&] {
        for (const Item* item : fresh)
          put(*item, [&](std::string_view name, Bytes value) {
            client.set(name, value);
            return true;
          });
      });
      for (const std::string_view key : keys) index_.tidy(client, key);
    });
  }

  bool create(std::string_view key, Bytes value) override {
    check_text_key(key);
    return with_server("creating", key, 1, [&](Client& client) {
      bool created = false;
      index_.note_around(client, {&key, 1}, [&] {
        created = put({key, value},
                      [&](std::string_view name, Bytes bytes) { return client.add(name, bytes); });
      });
      return created;
    });
  }

  std::optional<Buffer> load(std::string_view key) override {
    const std::string one(key);
    return std::move(load_present({&one, 1}).front());
  }

  bool exists(std::string_view key) override {
    check_text_key(key);
    const std::string item = item_of_key(key);
    // A long name is hashed, and only the value tells which key it belongs to.
    if (is_hashed(item)) return load(key).has_value();
    return with_server("looking up", key, 1, [&](Client& client) {
      if (meter_) meter_->count_get(1, 0);
      return client.exists(item);
    });
  }

  std::vector<std::optional<Buffer>> load_present(std::span<const std::string> keys) override {
    for (const std::string& key : keys) check_text_key(key);
    std::vector<std::optional<Buffer>> values(keys.size());
    if (keys.empty()) return values;
    with_server("loading", keys.front(), keys.size(), [&](Client& client) {
      get(client, keys, [&](std::size_t i, Buffer value) { values[i] = std::move(value); });
    });
    return values;
  }

  std::unique_ptr<KeyWatch> watch(std::vector<std::string> keys) override {
    return watch_all_by_polling(*this, std::move(keys));
  }

  void remove(std::string_view key) override {
    const std::string one(key);
    remove_all({&one, 1});
  }

  void remove_all(std::span<const std::string> keys) override {
    for (const std::string& key : keys) check_text_key(key);
    if (keys.empty()) return;
    with_server("removing", keys.front(), keys.size(), [&](Client& client) {
      std::vector<std::string> items;
      for (const std::string& key : keys) items.push_back(item_of_key(key));
      index_.forget(keys);
      if (meter_) meter_->count_remove(items.size());
      client.remove_all(items);
      index_.remove_emptied(client, keys);
    });
  }

  /// Reads the values of all keys under the prefix, because Memcached reports sizes in no other
  /// way.
  std::vector<Entry> list(std::string_view prefix) override {
    return with_server("listing", prefix, 1, [&](Client& client) {
      const std::vector<std::string> keys = index_.keys(client, prefix);
      std::vector<Entry> entries;
      get(client, keys, [&](std::size_t i, const Buffer& value) {
        entries.push_back({keys[i], value.size()});
      });
      std::ranges::sort(entries, {}, &Entry::key);
      return entries;
    });
  }

  void clear(std::string_view prefix) override {
    with_server("clearing", prefix, 1, [&](Client& client) { index_.clear(client, prefix); });
  }

 private:
  template <class Use>
  std::invoke_result_t<Use, Client&> with_server(std::string_view doing, std::string_view key,
                                                 std::size_t keys, Use&& use) {
    return clients_.with({this, doing, key, keys}, std::forward<Use>(use));
  }

  /// Calls send(name, bytes) with the name and contents of the key's item.
  template <class Send>
  bool put(const Item& item, Send&& send) const {
    const std::string name = item_of_key(item.key);
    if (meter_) meter_->count_put(1, item.value.size());
    if (!is_hashed(name)) return send(name, item.value);
    return send(name, framed(item.key, item.value));
  }

  /// Calls on_value(index of the key, Buffer) for the keys that exist.
  template <class OnValue>
  void get(Client& client, std::span<const std::string> keys, OnValue&& on_value) const {
    std::vector<std::string> items;
    for (const std::string& key : keys) items.push_back(item_of_key(key));
    std::uint64_t bytes = 0;
    client.get(items, [&](std::size_t i, Buffer value, std::uint64_t) {
      if (is_hashed(items[i])) value = Buffer(unframed(keys[i], value));
      bytes += value.size();
      on_value(i, std::move(value));
    });
    if (meter_) meter_->count_get(items.size(), bytes);
  }

  Address address_;
  std::shared_ptr<Meter> meter_;
  KeyIndex index_;
  Pool<Client> clients_;
  std::uint64_t max_value_bytes_;
};

std::shared_ptr<Storage> open(const Uri& uri, const Options&,
                              const std::shared_ptr<Patience>& patience) {
  Address address = address_of(uri);
  const std::string prefix = address.prefix;
  auto store = std::make_shared<Memcached>(std::move(address), patience);
  if (prefix.empty()) return store;
  return with_prefix(std::move(store), prefix + "/");
}

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "memcached",
                .help = "Memcached servers: "
                        "memcached://[user:password@]host[:11211][,host[:port]…][/prefix]",
                .open = open,
                .default_uri = [] { return Uri::parse("memcached://localhost:11211"); }});
  registry.add({.name = "memcacheds",
                .help = "the same over TLS: "
                        "memcacheds://[user:password@]host[:11211][,host[:port]…][/prefix]",
                .open = open,
                .default_uri = [] { return Uri::parse("memcacheds://localhost:11211"); },
                .options = address_options(true)});
}

}  // namespace lambdaml::storage::memcached
