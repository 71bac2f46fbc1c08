#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/service/patience.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/storage/pacer.h"

namespace lambdaml::storage {

/// What a store can do.
struct Capabilities {
  /// The largest value of one save; the chunk decorator lifts this limit.
  std::uint64_t max_value_bytes = std::numeric_limits<std::uint64_t>::max();
  /// list() and clear() see every key saved through this interface.
  bool can_list = true;
  /// create() is atomic among all workers.
  bool atomic_create = true;
  /// Whether it is depends on the server: see require_atomic_create().
  bool create_varies = false;
  /// Other processes that open the same URI see the same keys.
  bool cross_process = true;
  /// Saved values survive a restart of the service and are not evicted for lack of memory.
  bool durable = true;
  /// Polling is expensive (billed, or of high latency): poll for progress at most once per second.
  bool polling_is_expensive = false;
  /// Though polling is expensive, it costs less than the time of a function that waits: a wait
  /// polls without pauses (Pacer::kQuickPolling).
  bool polling_is_quick = false;
  /// The store may spread keys over servers, but keeps those together that have the same text in
  /// braces, `{…}`: requests about several of them are one.
  bool keeps_together_by_braces = false;
  /// What list() answers comes from lists of keys that the handles keep in the store (key_index.h),
  /// whose requests are among theirs.
  bool keeps_index = false;
  /// Saves and removals per second that the store is known to take from all workers together;
  /// infinity: none is known.
  double writes_per_s = std::numeric_limits<double>::infinity();
};

struct Entry {
  std::string key;
  std::uint64_t bytes = 0;
  bool operator==(const Entry&) const = default;
};

class Aggregator;
class Meter;
class KeyWatch;
class Wait;

/// A key and the value to save under it; views that live as long as the call.
struct Item {
  std::string_view key;
  Bytes value;
};

/// A value that a wait received, and the index of its key.
struct Arrival {
  std::size_t index = 0;
  Buffer value;
};

/// Keys to byte values that every worker of a job can reach.
///
/// Keys are non-empty texts of at most 200 bytes without control characters, by convention
/// `/`-separated; no part is empty, `.` or `..`. The limit includes what decorators add to a key. A
/// store may also read, list and remove other keys, which other software wrote (s3 does).
/// Keys of UTF-8 are accepted by every store, and others refused where a service has none. Not
/// every store accepts a key that is also the folder of others (`a` beside `a/b`). Values are
/// any bytes and may be empty. A save that has returned is seen by every later load of any worker;
/// a reader sees a whole value or none, never a part. The last save of a key wins.
///
/// Absence is an answer (`std::nullopt`), never an error, and an error is never reported as
/// absence. All methods are thread-safe. Errors: invalid_argument (a bad key), resource_exhausted
/// (full, or a value too large), permission_denied, unavailable (worth a retry; after a failed save
/// the value is the old or the new one), deadline_exceeded (waits only), data_corrupt, cancelled
/// (interrupted).
class Storage {
 public:
  Storage() = default;
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  virtual ~Storage() = default;

  virtual Capabilities capabilities() const = 0;
  /// The URI without secrets, for messages.
  virtual std::string describe() const = 0;

  virtual void save(std::string_view key, Bytes value) = 0;
  /// save() of the pieces, one after another, as one value; they are not joined in memory if the
  /// store can do without, which by default it cannot.
  virtual void save_gathered(std::string_view key, std::span<const Bytes> pieces);
  virtual std::optional<Buffer> load(std::string_view key) = 0;
  /// Saves only if the key is absent, atomically if capabilities() say so; returns whether it
  /// saved.
  virtual bool create(std::string_view key, Bytes value) = 0;
  /// Does nothing if the key is absent.
  virtual void remove(std::string_view key) = 0;
  /// The keys that begin with `prefix`, in byte order. Never used to wait for a key.
  virtual std::vector<Entry> list(std::string_view prefix) = 0;

  /// Whether the key exists, without its value: one small request if the store has one for it,
  /// otherwise a load. Throws what load() throws.
  virtual bool exists(std::string_view key);
  /// The part [begin, begin + bytes) of the value, cut at its end (empty if `begin` is beyond it);
  /// nullopt for an absent key. All bytes are of one save, but no checksum is verified. Transfers
  /// only the part if the store supports that; the default loads the whole value.
  virtual std::optional<Buffer> load_range(std::string_view key, std::uint64_t begin,
                                           std::uint64_t bytes);

  /// Batch forms do the same key by key and are not atomic as a whole; after an error any subset
  /// may be done. Stores override them if they can do better than one request at a time.
  ///
  /// load_present() polls each key once and returns the values in the order of `keys`, nullopt for
  /// absent ones; billed as one load per key. After an error nothing is known about any key.
  virtual std::vector<std::optional<Buffer>> load_present(std::span<const std::string> keys);
  virtual void save_all(std::span<const Item> items);
  virtual void remove_all(std::span<const std::string> keys);
  /// save_all(items) and remove_all(keys), in one round trip if the store can (redis); billed as
  /// both. The removals may take effect before the saves, and although these fail: the keys, none
  /// of which may be one of the items', must not be needed any more.
  virtual void save_and_remove(std::span<const Item> items, std::span<const std::string> keys);
  /// Removes every key that begins with `prefix`. The default lists, then removes.
  virtual void clear(std::string_view prefix);

  /// Waits until every key is there and returns the values in the order of `keys`. Polls at least
  /// once and never loads a value twice. Throws MissingKeys (deadline_exceeded), naming the keys
  /// still missing. To use values as they arrive, use a Wait (wait.h).
  std::vector<Buffer> load_all(std::span<const std::string> keys, Deadline deadline);
  Buffer load_or_wait(std::string_view key, Deadline deadline);

  /// Begins to watch keys for a Wait; how is up to the store. The default polls the first missing
  /// key, paced by pacer(), and the following ones when that has arrived (watch_by_polling in
  /// wait.h), so a poll that finds nothing costs one load, however many keys are missing.
  virtual std::unique_ptr<KeyWatch> watch(std::vector<std::string> keys);
  /// Adds hooks that run during a wait for keys of this store; decorators use them to check whether
  /// the wait is still wanted.
  virtual void add_hooks(Wait& wait);

  /// The store's interface for summing vectors itself, so that no worker needs to merge; null if it
  /// cannot. Lives as long as the store.
  virtual Aggregator* aggregator();

  /// This handle will send about that share, in (0, 1], of all requests to the store, 1 / P of P
  /// equal workers: a store that limits its rate of requests takes this share of it. 1 until then;
  /// the default ignores it.
  virtual void take_share(double share);

  /// Counts the requests of this store in `meter` as they are sent. Returns false if the store
  /// sends one request per key and leaves counting to the decorator. Call before any other method.
  virtual bool count_into(std::shared_ptr<Meter> meter);

 protected:
  /// Controls how often the default watch polls.
  virtual Pacer& pacer();

 private:
  Pacer pacer_;
};

/// Throws invalid_argument unless `key` is a valid key (see Storage).
void check_key(std::string_view key);
/// The same for stores whose service has only keys of UTF-8 text.
void check_text_key(std::string_view key);
/// Whether check_key() accepts it; keys that other software put in a store may be invalid.
bool is_valid_key(std::string_view key);
/// The part [begin, begin + bytes) of `value`, cut at its end.
Bytes part_of_value(Bytes value, std::uint64_t begin, std::uint64_t bytes);
/// Throws resource_exhausted if a list has more than ten million keys, so that a service with an
/// endless list does not exhaust the memory. `store` is its describe().
void check_count(std::size_t keys, std::string_view store);

/// The deadline_exceeded error of a wait, with the missing keys.
class MissingKeys : public Error {
 public:
  MissingKeys(const std::string& message, std::vector<std::string> keys)
      : Error(Code::deadline_exceeded, message), keys_(std::move(keys)) {}
  const std::vector<std::string>& keys() const { return keys_; }

 private:
  std::vector<std::string> keys_;
};

/// Throws MissingKeys with a message that states the store, the waiting time and the missing keys.
[[noreturn]] void fail_missing(const std::string& store, const std::vector<std::string>& missing,
                               double waited_s);

/// Opens the store of the URI's scheme at the URI's path: keys are relative to it. `file:///dir`
/// creates the folder at the first save. A text is first passed through resolve(). Throws
/// invalid_argument (unknown scheme, with the nearest known ones) or what the store throws.
///
/// The store is metered (if `meter` is given), retried and free of size limits, as with_meter(),
/// with_retry() and with_chunks() describe. `patience` limits the waiting for its service (null:
/// its own, with the standard policy); handles for one service may share it, and a service that one
/// has given up then fails at once for the others. Opening may talk to the service (Memcached) and
/// is retried like a call.
std::shared_ptr<Storage> open(std::string_view uri, std::shared_ptr<Meter> meter = nullptr,
                              std::shared_ptr<Patience> patience = nullptr);
std::shared_ptr<Storage> open(const Uri& uri, std::shared_ptr<Meter> meter = nullptr,
                              std::shared_ptr<Patience> patience = nullptr);
/// The same store without decorators.
std::shared_ptr<Storage> open_plain(const Uri& uri, std::shared_ptr<Patience> patience = nullptr);

/// Throws invalid_argument unless create() of this store is atomic; `what` is what needs it, for
/// the message. Where that depends on the server it costs three requests: it creates a key twice.
void require_atomic_create(Storage& store, std::string_view what);

/// Interprets a text: a URI, a path, or a bare plug-in name, which stands for that store's default
/// place. Opens nothing. Throws invalid_argument for a bare word that is neither a plug-in nor an
/// existing path but resembles a plug-in's name.
Uri resolve(std::string_view text);

/// A single object: the store of the URI's parent, and the last component as the key. Throws
/// invalid_argument if the URI has no last component.
struct Object {
  std::shared_ptr<Storage> store;
  std::string key;
};
Object open_object(const Uri& uri);

}  // namespace lambdaml::storage
