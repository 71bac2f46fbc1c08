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

/// What a store can do; asked, never guessed.
struct Capabilities {
  /// Largest value of one save; the chunk decorator lifts it.
  std::uint64_t max_value_bytes = std::numeric_limits<std::uint64_t>::max();
  /// list() and clear() see every key that was saved through this interface.
  bool can_list = true;
  /// create() is atomic among all workers.
  bool atomic_create = true;
  /// Other processes that open the same URI see the same keys.
  bool cross_process = true;
  /// What was saved survives a restart of the service, and is not dropped for want of memory.
  bool durable = true;
  /// Polling is expensive (billed, or of high latency): poll for progress at most once per second.
  bool polling_is_expensive = false;
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

/// A value that a wait was for, and which of its keys it lay under.
struct Arrival {
  std::size_t index = 0;
  Buffer value;
};

/// Keys to byte values that every worker of a job can reach.
///
/// Keys are non-empty UTF-8 texts of at most 200 bytes without control characters, by convention
/// `/`-separated; no part is empty, `.` or `..`. What a decorator puts around a key counts. A key
/// that is also the folder of others (`a` beside `a/b`) is not for every store. Values are any
/// bytes, also none. A save that returned is seen by every later load of any worker; a reader sees
/// a whole value or none, never a part. The last save of a key wins.
///
/// Absence is an answer (`std::nullopt`), never an error, and an error is never reported as
/// absence. All methods may be called from several threads at once. Errors: invalid_argument (a bad
/// key), resource_exhausted (full, or a value too large), permission_denied, unavailable (worth a
/// retry: the value of a failed save is the old or the new one), deadline_exceeded (waits only),
/// data_corrupt.
class Storage {
 public:
  Storage() = default;
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  virtual ~Storage() = default;

  virtual Capabilities capabilities() const = 0;
  /// The URI as it may be shown to people: no secrets.
  virtual std::string describe() const = 0;

  virtual void save(std::string_view key, Bytes value) = 0;
  virtual std::optional<Buffer> load(std::string_view key) = 0;
  /// Saves only when the key is absent, atomically where capabilities() say so; whether it did.
  virtual bool create(std::string_view key, Bytes value) = 0;
  /// Removing an absent key is no error.
  virtual void remove(std::string_view key) = 0;
  /// The keys that begin with `prefix`, in byte order. Never used to wait for a key.
  virtual std::vector<Entry> list(std::string_view prefix) = 0;

  /// Whether the key is there, without its value: one small request where the store has one for
  /// it, else the cost of a load. Throws what load() throws.
  virtual bool exists(std::string_view key);
  /// The part [begin, begin + bytes) of the value, cut at the value's end (so it is empty from
  /// there on); nullopt for an absent key. All of it is of one save, but no checksum is verified.
  /// Transfers the part only where the store can; the default loads the whole value.
  virtual std::optional<Buffer> load_range(std::string_view key, std::uint64_t begin,
                                           std::uint64_t bytes);

  /// The batch forms do what the single ones do, key by key; not atomic as a whole. A store
  /// overrides them when it can do better than one by one.
  ///
  /// load_present() polls each key once and returns the values in the order of `keys`, nullopt for
  /// those that are absent; billed as so many loads. After an error nothing is known of any.
  virtual std::vector<std::optional<Buffer>> load_present(std::span<const std::string> keys);
  virtual void save_all(std::span<const Item> items);
  virtual void remove_all(std::span<const std::string> keys);
  /// Removes every key that begins with `prefix`.
  virtual void clear(std::string_view prefix);

  /// Waits until every key is there and returns their values in the order of `keys`; polls at least
  /// once, and no key again that has come. Throws MissingKeys (deadline_exceeded) naming the keys
  /// still missing. Who wants the values as they come uses a Wait (wait.h), of which this is made.
  std::vector<Buffer> load_all(std::span<const std::string> keys, Deadline deadline);
  Buffer load_or_wait(std::string_view key, Deadline deadline);

  /// Begins to watch keys for a Wait: how to do that is the store's. The default polls the first
  /// missing key, paced by pacer(), and the ones behind it when that one has come (watch_by_polling
  /// in wait.h): a poll in vain costs one load, however many keys are missing.
  virtual std::unique_ptr<KeyWatch> watch(std::vector<std::string> keys);
  /// Adds what is to be done while a wait for keys of this store goes on: decorators ask whether
  /// it is still wanted.
  virtual void add_hooks(Wait& wait);

  /// The same store as one that adds up vectors by itself, so that no worker needs to merge; null
  /// where it does not. Lives as long as the store.
  virtual Aggregator* aggregator();

  /// Counts the requests of this store in `meter` from now on, as they are sent. False: the store
  /// sends one a key and leaves the counting to the decorator. To be called before any other call.
  virtual bool count_into(std::shared_ptr<Meter> meter);

 protected:
  /// How often the default watch polls.
  virtual Pacer& pacer();

 private:
  Pacer pacer_;
};

/// Throws invalid_argument unless `key` is as Storage says.
void check_key(std::string_view key);
/// Whether check_key() would let it pass: what others put in a store need not have such a key.
bool is_valid_key(std::string_view key);
/// The part [begin, begin + bytes) of `value`, cut at its end.
Bytes part_of_value(Bytes value, std::uint64_t begin, std::uint64_t bytes);
/// Throws resource_exhausted when a list has more than ten million keys: a service whose list never
/// ends would take all memory. `store` as describe() has it.
void check_count(std::size_t keys, std::string_view store);

/// The deadline_exceeded error of a wait, with the keys that did not come.
class MissingKeys : public Error {
 public:
  MissingKeys(const std::string& message, std::vector<std::string> keys)
      : Error(Code::deadline_exceeded, message), keys_(std::move(keys)) {}
  const std::vector<std::string>& keys() const { return keys_; }

 private:
  std::vector<std::string> keys_;
};

/// Throws MissingKeys: what was waited for, where, how long, which keys.
[[noreturn]] void fail_missing(const std::string& store, const std::vector<std::string>& missing,
                               double waited_s);

/// Opens the store that the URI names, by its scheme, and under the URI's path: keys of the store
/// are relative to it. `file:///dir` makes the folder at the first save, not before. A text is
/// first resolve()d. Throws invalid_argument (unknown scheme, with the nearest known) or what the
/// store throws.
///
/// The store comes metered (when `meter` is given), retried and free of size limits, as with_meter,
/// with_retry and with_chunks say. `patience` is how long its service is waited for in all (null: a
/// patience of its own by the standard policy); handles on one service may share it, and what one
/// has given up then fails at once for the others too. Opening may talk to the service (Memcached),
/// and is retried like a call.
std::shared_ptr<Storage> open(std::string_view uri, std::shared_ptr<Meter> meter = nullptr,
                              std::shared_ptr<Patience> patience = nullptr);
std::shared_ptr<Storage> open(const Uri& uri, std::shared_ptr<Meter> meter = nullptr,
                              std::shared_ptr<Patience> patience = nullptr);
/// The same store without anything around it.
std::shared_ptr<Storage> open_plain(const Uri& uri, std::shared_ptr<Patience> patience = nullptr);

/// The URI that a text means: a URI, a path, or a bare plug-in name, for which it is the store's
/// default place. Opens nothing. Throws invalid_argument for a bare word that is neither a plug-in
/// nor there as a path, but looks like a slip for a plug-in's name.
Uri resolve(std::string_view text);

/// A single object: the store of the URI's parent and the key of its last component. Throws
/// invalid_argument for a URI without one.
struct Object {
  std::shared_ptr<Storage> store;
  std::string key;
};
Object open_object(const Uri& uri);

}  // namespace lambdaml::storage
