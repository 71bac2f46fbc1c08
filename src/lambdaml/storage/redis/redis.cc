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
#include "lambdaml/storage/pool.h"
#include "lambdaml/storage/redis/connection.h"
#include "lambdaml/storage/redis/listener.h"
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
/// A wait polls this often even without notifications: for values saved by other means than save(),
/// and for notifications lost with a broken connection.
constexpr double kPollAnyway = 1;
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
/// of the key on its folder's channel for waiting workers (RedisWatch).
class Redis final : public Storage {
 public:
  Redis(Address address, std::shared_ptr<Patience> patience)
      : address_(std::move(address)),
        patience_(std::move(patience)),
        connections_([this] { return connect(); }, patience_),
        listeners_([this] { return std::make_unique<Listener>([this] { return connect(); }); },
                   patience_) {}

  Capabilities capabilities() const override {
    return {.max_value_bytes = kPieceBytes, .durable = false};
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

  bool create(std::string_view key, Bytes value) override {
    check(key, value);
    return with_primary("creating", key, 1, [&](Connection& server) {
      Request request;
      request.add({"SET", key, as_text(value), "NX"});
      // Published even if the key existed: a waiting worker will find it.
      add_publish(request, key);
      count_put(value.size());
      return server.ask(request, [&] {
        const bool created = server.reply().kind != Reply::Kind::absent;
        server.reply();
        return created;
      });
    });
  }

  std::optional<Buffer> load(std::string_view key) override {
    check_key(key);
    return with_server("loading", key, 1, [&](Connection& server) {
      Request request;
      request.add({"GET", key});
      std::optional<Buffer> value = server.ask(request, [&] { return server.value(); });
      count_get(1, value ? value->size() : 0);
      return value;
    });
  }

  bool exists(std::string_view key) override {
    check_key(key);
    return with_server("looking up", key, 1, [&](Connection& server) {
      Request request;
      request.add({"EXISTS", key});
      count_get(1, 0);
      return server.ask(request, [&] { return server.reply().integer == 1; });
    });
  }

  std::optional<Buffer> load_range(std::string_view key, std::uint64_t begin,
                                   std::uint64_t bytes) override {
    check_key(key);
    return with_server("loading", key, 1, [&](Connection& server) -> std::optional<Buffer> {
      // GETRANGE treats an absent key as an empty value and cannot express an empty range.
      const std::string first = std::to_string(std::min(begin, kMaxValueBytes));
      const std::string last =
          std::to_string(std::min(begin, kMaxValueBytes) +
                         std::clamp<std::uint64_t>(bytes, 1, kMaxValueBytes) - 1);
      Request request;
      request.add({"GETRANGE", key, first, last});
      request.add({"EXISTS", key});
      std::optional<Buffer> part;
      const bool exists = server.ask(request, [&] {
        part = server.value();
        return server.reply().integer == 1;
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

  std::unique_ptr<KeyWatch> watch(std::vector<std::string> keys) override;

  void remove(std::string_view key) override {
    const std::string one(key);
    remove_all({&one, 1});
  }

  void remove_all(std::span<const std::string> keys) override {
    for (const std::string& key : keys) check_key(key);
    for (; !keys.empty(); keys = keys.subspan(std::min(keys.size(), kBatchCommands))) {
      const auto batch = keys.first(std::min(keys.size(), kBatchCommands));
      with_primary("removing", batch.front(), batch.size(), [&](Connection& server) {
        Request request;
        add_unlink(request, batch);
        if (meter_) meter_->count_remove(batch.size());
        server.ask(request, [&] { server.reply(); });
      });
    }
  }

  /// Costs a request per thousand keys of the whole database, and two for each key found.
  std::vector<Entry> list(std::string_view prefix) override {
    return with_server("listing", prefix, 1, [&](Connection& server) {
      std::set<std::string> keys;  // SCAN may give a key twice
      scan(server, prefix, [&](std::vector<std::string> page) {
        keys.insert(page.begin(), page.end());
        check_count(keys.size(), describe());
      });
      const std::vector<std::string> all(keys.begin(), keys.end());
      std::vector<Entry> entries;
      for (std::size_t i = 0; i < all.size(); i += kBatchCommands)
        add_entries(server, std::span(all).subspan(i, std::min(kBatchCommands, all.size() - i)),
                    entries);
      return entries;
    });
  }

  void clear(std::string_view prefix) override {
    with_server("clearing", prefix, 1, [&](Connection& server) {
      scan(server, prefix, [&](const std::vector<std::string>& page) {
        if (page.empty()) return;
        Request request;
        add_unlink(request, page);
        if (meter_) meter_->count_remove(page.size());
        server.ask(request, [&] { server.reply(); });
      });
    });
  }

 private:
  friend class RedisWatch;

  std::unique_ptr<Connection> connect() const {
    return std::make_unique<Connection>(address_, patience_);
  }

  /// with_server() for calls that write.
  template <class Use>
  std::invoke_result_t<Use, Connection&> with_primary(std::string_view doing, std::string_view key,
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
  std::invoke_result_t<Use, Connection&> with_server(std::string_view doing, std::string_view key,
                                                     std::size_t keys, Use&& use) {
    const Doing call{this, doing, key, keys};
    try {
      return connections_.with(std::forward<Use>(use));
    } catch (const ReadOnlyReplica& error) {
      // The refusal is an answer: such a server is waited for as one that has answered before.
      if (patience_ && !patience_->has_answered()) patience_->answered();
      fail_doing(call, Error(replica_.code(), error.what()));
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

  void add_publish(Request& request, std::string_view key) const {
    request.add({"PUBLISH", channel_of(address_.database, key), key});
  }
  static void add_unlink(Request& request, std::span<const std::string> keys) {
    std::vector<std::string_view> command = {"UNLINK"};
    command.insert(command.end(), keys.begin(), keys.end());
    request.add(command);
  }

  void save_batch(std::span<const Item> items) {
    with_primary("saving", items.front().key, items.size(), [&](Connection& server) {
      Request request;
      for (const Item& item : items) {
        request.add({"SET", item.key, as_text(item.value)});
        add_publish(request, item.key);
        count_put(item.value.size());
      }
      server.ask(request, [&] {
        for (std::size_t i = 0; i < 2 * items.size(); ++i) server.reply();
      });
    });
  }

  /// Calls on_value(i, Buffer) for those keys at `at` (indices of keys) that exist, in batches.
  template <class OnValue>
  void take(std::span<const std::string> keys, std::span<const std::size_t> at,
            OnValue&& on_value) {
    std::size_t most = kFirstValues;
    std::vector<std::optional<Buffer>> values;
    while (!at.empty()) {
      const auto batch = at.first(std::min(at.size(), most));
      at = at.subspan(batch.size());
      std::size_t found = 0;
      std::size_t bytes = 0;
      with_server("loading", keys[batch.front()], batch.size(), [&](Connection& server) {
        Request request;
        for (const std::size_t i : batch) request.add({"GET", keys[i]});
        values.clear();
        server.ask(request, [&] {
          for (std::size_t i = 0; i < batch.size(); ++i) {
            values.push_back(server.value());
            count_get(1, values.back() ? values.back()->size() : 0);
          }
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
  void add_entries(Connection& server, std::span<const std::string> keys,
                   std::vector<Entry>& entries) {
    Request request;
    for (const std::string& key : keys) {
      request.add({"STRLEN", key});
      request.add({"EXISTS", key});
    }
    if (meter_) meter_->count_get(2 * keys.size(), 0);
    server.ask(request, [&] {
      for (const std::string& key : keys) {
        const Reply length = server.reply_or("WRONGTYPE");
        const Reply there = server.reply();
        if (length.kind == Reply::Kind::integer && there.integer == 1)
          entries.push_back({key, static_cast<std::uint64_t>(length.integer)});
      }
    });
  }

  Address address_;
  Replica replica_;
  std::shared_ptr<Patience> patience_;
  std::shared_ptr<Meter> meter_;
  Pool<Connection> connections_;
  Pool<Listener> listeners_;
};

/// Polls once, follows the channels of the keys, polls again for new channels, and then sleeps
/// until it is notified.
class RedisWatch final : public ListedKeyWatch {
 public:
  RedisWatch(Redis& store, std::vector<std::string> keys)
      : ListedKeyWatch(std::move(keys)), store_(store) {}
  RedisWatch(const RedisWatch&) = delete;
  RedisWatch& operator=(const RedisWatch&) = delete;
  ~RedisWatch() override {
    if (listener_) store_.listeners_.give_back(std::move(listener_));
  }

 private:
  void wait(Deadline deadline, std::size_t below) override {
    try {
      const bool begins = !listener_;
      if (begins) {
        // Before the first poll, so that no other wait takes the notifications that come after it.
        listener_ = store_.listeners_.borrow();
        listener_->forget();
      }
      if (reaches_further(below) || begins) poll(missing(below));
      while (!any_found() && !deadline.passed()) sleep_until_told(deadline, below);
    } catch (...) {
      listener_.reset();
      throw;
    }
  }

  void look_up(std::span<const std::size_t> which) override {
    poll_anyway_ = Deadline::in(kPollAnyway);
    take(which);
  }
  void take(std::span<const std::size_t> which) {
    store_.take(keys(), which, [&](std::size_t i, Buffer value) { found(i, std::move(value)); });
  }

  void sleep_until_told(Deadline deadline, std::size_t below) {
    if (channels_.empty())
      for (const std::string& key : keys())
        channels_.insert(channel_of(store_.address_.database, key));
    const std::vector<std::size_t> wanted = missing(below);
    try {
      if (listener_->follow(channels_)) return poll(wanted);
    } catch (const Error& error) {
      fail_doing({&store_, "waiting for", key(wanted.front()), wanted.size()}, error);
    }
    const Listener::News news = listener_->wait(deadline.earlier(poll_anyway_));
    if (news.lost || poll_anyway_.passed()) return poll(wanted);
    const std::set<std::string_view> saved(news.keys.begin(), news.keys.end());
    std::vector<std::size_t> there;
    for (const std::size_t i : wanted)
      if (saved.contains(key(i))) there.push_back(i);
    timed([&] { take(there); });
  }

  Redis& store_;
  std::unique_ptr<Listener> listener_;
  std::set<std::string> channels_;
  Deadline poll_anyway_ = Deadline::in(kPollAnyway);
};

std::unique_ptr<KeyWatch> Redis::watch(std::vector<std::string> keys) {
  return std::make_unique<RedisWatch>(*this, std::move(keys));
}

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
                .help = "a Redis server: redis://[[user]:password@]host[:6379][/database[/prefix]]",
                .open = open,
                .default_uri = [] { return Uri::parse("redis://localhost:6379"); }});
}

}  // namespace lambdaml::storage::redis
