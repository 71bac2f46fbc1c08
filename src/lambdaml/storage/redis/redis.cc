#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <numeric>
#include <set>
#include <type_traits>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/text.h"
#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/redis/servers.h"
#include "lambdaml/storage/redis/watch.h"
#include "lambdaml/storage/registry.h"
#include "lambdaml/storage/wait.h"

namespace lambdaml::storage::redis {
namespace {

/// Limits of one round trip, in commands and bytes of values (at least one value): data in flight
/// takes memory in the server.
constexpr std::size_t kBatchCommands = 1000;
constexpr std::size_t kBatchBytes = 16 << 20;
/// How many values are requested at once while their size is unknown.
constexpr std::size_t kFirstValues = 64;
/// Redis' own limit (proto-max-bulk-len).
constexpr std::uint64_t kMaxValueBytes = 512 << 20;
/// Longer values are better kept in pieces: beyond 8 MB jemalloc gives the server fresh memory each
/// time, whose page faults take ten times as long as the copy.
constexpr std::uint64_t kPieceBytes = 4 << 20;

/// What a server's refusal to write means. During a failover a replica becomes the primary within
/// seconds; one that has never written for this process is more probably the wrong address.
/// Thread-safe.
class Replica {
 public:
  void has_written() {
    has_written_ = true;
    refused_since_ = TimePoint::max();
  }
  /// Of a refusal now: unavailable, which is worth a retry, or permission_denied.
  Code code() {
    constexpr auto kPatience = std::chrono::seconds(5);
    TimePoint since = TimePoint::max();
    const TimePoint now = time_now();
    if (refused_since_.compare_exchange_strong(since, now)) since = now;
    return has_written_ || now - since < kPatience ? Code::unavailable : Code::permission_denied;
  }

 private:
  std::atomic<bool> has_written_{false};
  std::atomic<TimePoint> refused_since_{TimePoint::max()};
};

/// Keys are Redis keys, values are strings. A save is a SET and, in the same round trip, a PUBLISH
/// of the key on its folder's channel for waiting workers (watch.h). Users who may not publish or
/// subscribe can use the store too: waits poll then.
class Redis final : public Storage {
 public:
  Redis(Address address, std::shared_ptr<Patience> patience)
      : address_(std::move(address)),
        time_to_live_(std::to_string(address_.ttl_s)),
        patience_(std::move(patience)),
        servers_(address_, patience_),
        listeners_(
            [this] {
              return std::make_unique<Listener>(
                  [this](const Endpoint& server) { return servers_.connect_to(server); });
            },
            patience_) {}

  Capabilities capabilities() const override {
    return {.max_value_bytes = kPieceBytes, .durable = false, .keeps_together_by_braces = true};
  }
  std::string describe() const override { return address_.endpoint(); }

  bool count_into(std::shared_ptr<Meter> meter) override {
    meter_ = std::move(meter);
    return true;
  }

  void save(std::string_view key, Bytes value) override {
    const Item item{key, value};
    save_all({&item, 1});
  }

  void save_all(std::span<const Item> items) override {
    for (const Item& item : items) check(item.key, item.value);
    while (!items.empty()) {
      std::size_t n = 0;
      for (std::size_t bytes = 0; n < items.size() && n < kBatchCommands; ++n) {
        bytes += items[n].value.size();
        if (n > 0 && bytes > kBatchBytes) break;
      }
      save_batch(items.first(n));
      items = items.subspan(n);
    }
  }

  void save_and_remove(std::span<const Item> items, std::span<const std::string> keys) override {
    std::size_t bytes = 0;
    for (const Item& item : items) {
      check(item.key, item.value);
      bytes += item.value.size();
    }
    for (const std::string& key : keys) check_key(key);
    if (items.empty() || bytes > kBatchBytes || items.size() + keys.size() > kBatchCommands)
      return Storage::save_and_remove(items, keys);
    save_batch(items, keys);
  }

  bool create(std::string_view key, Bytes value) override {
    check(key, value);
    return with_primary("creating", key, 1, [&] {
      const bool publishes = !refuses_channels_;
      bool created = false;
      count_put(value.size());
      // Published even if the key existed: a waiting worker will find it.
      servers_.ask(
          {&key, 1},
          [&](Request& request, std::size_t) {
            add_set(request, {key, value}, publishes, true);
          },
          [&](Connection& server, std::size_t) {
            created = server.reply().kind != Reply::Kind::absent;
            if (publishes) take_published(server);
          });
      return created;
    });
  }

  std::optional<Buffer> load(std::string_view key) override {
    check_key(key);
    return with_server("loading", key, 1, [&] {
      std::optional<Buffer> value;
      servers_.ask(
          {&key, 1},
          [&](Request& request, std::size_t) {
            request.add({"GET", key});
          },
          [&](Connection& server, std::size_t) { value = server.value(); });
      count_get(1, value ? value->size() : 0);
      return value;
    });
  }

  bool exists(std::string_view key) override {
    check_key(key);
    return with_server("looking up", key, 1, [&] {
      bool there = false;
      count_get(1, 0);
      servers_.ask(
          {&key, 1},
          [&](Request& request, std::size_t) {
            request.add({"EXISTS", key});
          },
          [&](Connection& server, std::size_t) { there = server.reply().integer == 1; });
      return there;
    });
  }

  std::optional<Buffer> load_range(std::string_view key, std::uint64_t begin,
                                   std::uint64_t bytes) override {
    check_key(key);
    return with_server("loading", key, 1, [&]() -> std::optional<Buffer> {
      // GETRANGE treats an absent key as an empty value and cannot express an empty range.
      const std::string first = std::to_string(std::min(begin, kMaxValueBytes));
      const std::string last =
          std::to_string(std::min(begin, kMaxValueBytes) +
                         std::clamp<std::uint64_t>(bytes, 1, kMaxValueBytes) - 1);
      std::optional<Buffer> part;
      bool exists = false;
      servers_.ask(
          {&key, 1},
          [&](Request& request, std::size_t) {
            request.add({"GETRANGE", key, first, last});
            request.add({"EXISTS", key});
          },
          [&](Connection& server, std::size_t) {
            part = server.value();
            exists = server.reply().integer == 1;
          });
      count_get(2, part ? part->size() : 0);
      const bool there = exists || (part && !part->empty());
      if (!there) return {};
      if (part) part->truncate(std::min<std::uint64_t>(bytes, part->size()));
      return part ? std::move(part) : Buffer();
    });
  }

  std::vector<std::optional<Buffer>> load_present(std::span<const std::string> keys) override {
    for (const std::string& key : keys) check_key(key);
    std::vector<std::optional<Buffer>> values(keys.size());
    std::vector<std::size_t> all(keys.size());
    std::iota(all.begin(), all.end(), 0);
    take(keys, all, [&](std::size_t i, Buffer value) { values[i] = std::move(value); });
    return values;
  }

  std::unique_ptr<KeyWatch> watch(std::vector<std::string> keys) override {
    if (refuses_channels_) return watch_by_polling(*this, std::move(keys), pacer(), kBatchCommands);
    return watch_notified(
        {.store = this,
         .channel_of = [this](std::string_view key) { return servers_.channel_of(key); },
         .listeners = listeners_,
         .take = [this](auto all, auto which, const Watched::OnValue& f) { take(all, which, f); },
         .on_refused = [this] { refuses_channels_ = true; },
         .on_moved = [this] { servers_.note_moved(); }},
        std::move(keys));
  }

  void remove(std::string_view key) override {
    const std::string one(key);
    remove_all({&one, 1});
  }

  void remove_all(std::span<const std::string> keys) override {
    for (const std::string& key : keys) check_key(key);
    for (; !keys.empty(); keys = keys.subspan(std::min(keys.size(), kBatchCommands))) {
      const auto batch = keys.first(std::min(keys.size(), kBatchCommands));
      with_primary("removing", batch.front(), batch.size(), [&] { unlink(batch); });
    }
  }

  /// Costs a request per thousand keys of the whole database, and two for each key found.
  std::vector<Entry> list(std::string_view prefix) override {
    return with_server("listing", prefix, 1, [&] {
      std::set<std::string> keys;  // SCAN may give a key twice, and a slot may move meanwhile
      servers_.at_each([&](Connection& server) {
        scan(server, prefix, [&](std::vector<std::string> page) {
          keys.insert(page.begin(), page.end());
          check_count(keys.size(), describe());
        });
      });
      const std::vector<std::string> all(keys.begin(), keys.end());
      std::vector<Entry> entries;
      for (std::size_t i = 0; i < all.size(); i += kBatchCommands)
        add_entries(std::span(all).subspan(i, std::min(kBatchCommands, all.size() - i)), entries);
      return entries;
    });
  }

  void clear(std::string_view prefix) override {
    with_primary("clearing", prefix, 1, [&] {
      servers_.at_each([&](Connection& server) {
        scan(server, prefix, [&](const std::vector<std::string>& page) { unlink(page); });
      });
    });
  }

 private:
  /// with_server() for calls that write.
  template <class Use>
  std::invoke_result_t<Use> with_primary(std::string_view doing, std::string_view key,
                                         std::size_t keys, Use&& use) {
    struct Note {
      Replica& replica;
      int exceptions = std::uncaught_exceptions();
      ~Note() {
        if (std::uncaught_exceptions() == exceptions) replica.has_written();
      }
    };
    const Note note{replica_};
    return with_server(doing, key, keys, use);
  }

  template <class Use>
  std::invoke_result_t<Use> with_server(std::string_view doing, std::string_view key,
                                        std::size_t keys, Use&& use) {
    const Doing call{this, doing, key, keys};
    try {
      return use();
    } catch (const ReadOnlyReplica& error) {
      // The refusal is an answer: such a server is waited for as one that has answered before.
      if (patience_ && !patience_->has_answered()) patience_->answered();
      const Code code = replica_.code();
      servers_.follow_primary();
      fail_doing(call, Error(code, error.what()));
    } catch (const Error& error) {
      fail_doing(call, error);
    }
  }

  void check(std::string_view key, Bytes value) const {
    check_key(key);
    if (value.size() > kMaxValueBytes)
      fail(Code::resource_exhausted, "{}: saving '{}': {} are more than Redis keeps in a value",
           describe(), printable(key), human_bytes(value.size()));
  }

  void count_put(std::size_t bytes) const {
    if (meter_) meter_->count_put(1, bytes);
  }
  void count_get(std::size_t keys, std::size_t bytes) const {
    if (meter_) meter_->count_get(keys, bytes);
  }

  void add_set(Request& request, const Item& item, bool publishes, bool only_new) {
    std::vector<std::string_view> command = {"SET", item.key, as_text(item.value)};
    if (only_new) command.push_back("NX");
    if (address_.ttl_s > 0) command.insert(command.end(), {"EX", time_to_live_});
    request.add(command);
    if (!publishes) return;
    const Channel channel = servers_.channel_of(item.key);
    request.add({channel.sharded ? "SPUBLISH" : "PUBLISH", channel.name, item.key});
  }
  void take_published(Connection& server) {
    switch (server.outcome()) {
      case Connection::Outcome::done:
        break;
      case Connection::Outcome::refused:
        refuses_channels_ = true;
        break;
      case Connection::Outcome::elsewhere:  // the waiting ones are told so, and poll
        servers_.note_moved();
        break;
    }
  }

  /// Saves the items and removes the values of `stale`.
  void save_batch(std::span<const Item> items, std::span<const std::string> stale = {}) {
    with_primary("saving", items.front().key, items.size(), [&] {
      const bool publishes = !refuses_channels_;
      std::vector<std::string_view> keys;
      keys.reserve(items.size() + stale.size());
      for (const Item& item : items) {
        keys.push_back(item.key);
        count_put(item.value.size());
      }
      keys.insert(keys.end(), stale.begin(), stale.end());
      if (meter_ && !stale.empty()) meter_->count_remove(stale.size());
      servers_.ask(
          keys,
          [&](Request& request, std::size_t i) {
            if (i < items.size())
              add_set(request, items[i], publishes, false);
            else
              request.add({"UNLINK", keys[i]});
          },
          [&](Connection& server, std::size_t i) {
            server.reply();
            if (i < items.size() && publishes) take_published(server);
          });
    });
  }

  /// A cluster takes no command about keys in several slots.
  void unlink(std::span<const std::string> keys) {
    if (keys.empty()) return;
    if (meter_) meter_->count_remove(keys.size());
    const std::vector<std::string_view> views(keys.begin(), keys.end());
    if (servers_.is_cluster())
      return servers_.ask(
          views,
          [&](Request& request, std::size_t i) {
            request.add({"UNLINK", views[i]});
          },
          [](Connection& server, std::size_t) { server.reply(); });
    std::vector<std::string_view> command = {"UNLINK"};
    command.insert(command.end(), views.begin(), views.end());
    servers_.ask(
        std::span(views).first(1), [&](Request& request, std::size_t) { request.add(command); },
        [](Connection& server, std::size_t) { server.reply(); });
  }

  /// Calls on_value(i, Buffer) for those keys at `at` (indices of keys) that exist, in batches.
  template <class OnValue>
  void take(std::span<const std::string> keys, std::span<const std::size_t> at,
            OnValue&& on_value) {
    std::size_t most = kFirstValues;
    std::vector<std::optional<Buffer>> values;
    std::vector<std::string_view> asked;
    while (!at.empty()) {
      const auto batch = at.first(std::min(at.size(), most));
      at = at.subspan(batch.size());
      std::size_t found = 0;
      std::size_t bytes = 0;
      asked.clear();
      for (const std::size_t i : batch) asked.push_back(keys[i]);
      values.clear();
      values.resize(batch.size());
      with_server("loading", asked.front(), batch.size(), [&] {
        servers_.ask(
            asked,
            [&](Request& request, std::size_t i) {
              request.add({"GET", asked[i]});
            },
            [&](Connection& server, std::size_t i) {
              values[i] = server.value();
              count_get(1, values[i] ? values[i]->size() : 0);
            });
      });
      for (std::size_t i = 0; i < batch.size(); ++i) {
        if (!values[i]) continue;
        ++found;
        bytes += values[i]->size();
        on_value(batch[i], std::move(*values[i]));
      }
      const std::size_t size = bytes / std::max<std::size_t>(found, 1);
      most =
          std::clamp<std::size_t>(kBatchBytes / std::max<std::size_t>(size, 1), 1, kBatchCommands);
    }
  }

  /// Calls on_page(keys) for the keys that begin with `prefix`, one page at a time. Skips keys that
  /// other software wrote and that are not valid here (see check_key).
  template <class OnPage>
  void scan(Connection& server, std::string_view prefix, OnPage&& on_page) {
    const std::string pattern = glob_escaped(prefix) + "*";
    std::string cursor = "0";
    do {
      Request request;
      request.add({"SCAN", cursor, "MATCH", pattern, "COUNT", "1000"});
      if (meter_) meter_->count_list(1);
      Reply reply = server.ask(request, [&] { return server.reply(); });
      if (reply.list.size() != 2) fail(Code::internal, "SCAN answers with no cursor and keys");
      cursor = std::move(reply.list[0].text);
      std::vector<std::string> page;
      for (Reply& key : reply.list[1].list)
        if (is_valid_key(key.text)) page.push_back(std::move(key.text));
      on_page(std::move(page));
    } while (cursor != "0");
  }

  /// Appends the keys that exist and hold strings, with their sizes. An absent key also has length
  /// 0, so its existence is checked too.
  void add_entries(std::span<const std::string> keys, std::vector<Entry>& entries) {
    const std::vector<std::string_view> views(keys.begin(), keys.end());
    std::vector<std::optional<std::uint64_t>> lengths(keys.size());
    if (meter_) meter_->count_get(2 * keys.size(), 0);
    servers_.ask(
        views,
        [&](Request& request, std::size_t i) {
          request.add({"STRLEN", views[i]});
          request.add({"EXISTS", views[i]});
        },
        [&](Connection& server, std::size_t i) {
          const Reply length = server.reply_or("WRONGTYPE");
          const Reply there = server.reply();
          lengths[i].reset();
          if (length.kind == Reply::Kind::integer && there.integer == 1)
            lengths[i] = static_cast<std::uint64_t>(length.integer);
        });
    for (std::size_t i = 0; i < keys.size(); ++i)
      if (lengths[i]) entries.push_back({keys[i], *lengths[i]});
  }

  Address address_;
  std::string time_to_live_;
  Replica replica_;
  std::atomic<bool> refuses_channels_{false};
  std::shared_ptr<Patience> patience_;
  std::shared_ptr<Meter> meter_;
  Servers servers_;
  Pool<Listener> listeners_;
};

std::shared_ptr<Storage> open(const Uri& uri, const Options&, std::shared_ptr<Patience> patience) {
  Address address = address_of(uri, std::getenv("REDISCLI_AUTH"));
  const std::string prefix = address.prefix;
  auto store = std::make_shared<Redis>(std::move(address), std::move(patience));
  if (prefix.empty()) return store;
  return with_prefix(std::move(store), prefix + "/");
}

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "redis",
                .help = "a Redis server or cluster: "
                        "redis://[[user]:password@]host[:6379][/database[/prefix]]",
                .open = open,
                .default_uri = [] { return Uri::parse("redis://localhost:6379"); },
                .options = address_options(false)});
  registry.add({.name = "rediss",
                .help = "the same over TLS: "
                        "rediss://[[user]:password@]host[:6379][/database[/prefix]]",
                .open = open,
                .default_uri = [] { return Uri::parse("rediss://localhost:6379"); },
                .options = address_options(true)});
}

}  // namespace lambdaml::storage::redis
