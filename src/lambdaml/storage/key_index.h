#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/deadline.h"
#include "lambdaml/storage/meter.h"

namespace lambdaml::storage {

/// Tracks which keys exist in a store that cannot list them, such as Memcached: each folder has an
/// item that lists its children.
///
/// The item of `a/b` holds a line for each key in it (`name`) and each folder (`name/`), possibly
/// repeated, after a first line (`/GENERATION`) that is unique to this item. Lines are appended; a
/// writer that finds no item adds one and appends the folder to its parent's. A key is noted
/// *before* its value is saved, so a crash leaves a name without a value, which is harmless, and
/// never a value without a name. list() requests the values of all names, so it shows only what
/// exists.
///
/// Names without a value are dropped from time to time, and by clear(), using set_if_same() so that
/// concurrent appends are not lost. The remaining race is with a writer between its two requests,
/// whose name has no value *yet*. Two rules keep that name:
///
///   * A writer whose value was saved later than kLease after it began to note the key notes it
///     again.
///   * A name is dropped only if its value is absent kLease or more after the name was read.
///
/// If the value arrived within kLease, the process that read the name has seen the value too, and
/// keeps the name or removes the value. If it arrived later, the name was appended again, either
/// before the cas, which then fails, or after it. The same holds for a folder's name, which is
/// noted before the folder's item is added. Clocks are only used to measure durations on one
/// machine.
///
/// A handle remembers which keys it noted. A remembered key is saved by `replace`, which fails if
/// the value no longer exists; only then may its name be missing too, and the key is noted again.
///
/// If the server evicts a folder's item for lack of memory, list() and clear() miss its keys; and
/// if it restarts between a writer's two requests, the second one's. Thread-safe.
class KeyIndex {
 public:
  /// What the store has: items, of values and of lists, each with a version that changes whenever
  /// it is written. Each call is one request, and get() and remove_all() one batch.
  class Items {
   public:
    Items() = default;
    Items(const Items&) = delete;
    Items& operator=(const Items&) = delete;
    virtual ~Items() = default;

    /// The item of a key's value, and that of a folder's list; the root is the folder ``.
    virtual std::string item_of_key(std::string_view key) const = 0;
    virtual std::string item_of_folder(std::string_view folder) const = 0;

    /// Save only if the item is absent, or append to one that exists; return whether they did.
    virtual bool add(std::string_view item, Bytes value) = 0;
    virtual bool append(std::string_view item, Bytes value) = 0;
    /// Save, or remove, only if the item still has the version that get() reported; return whether
    /// they did.
    virtual bool set_if_same(std::string_view item, Bytes value, std::uint64_t version) = 0;
    virtual bool remove_if_same(std::string_view item, std::uint64_t version) = 0;

    /// Calls on_found(index of the item, value, version) for those that exist, in any order. Of
    /// items of keys, the index looks at no value.
    using OnFound = std::function<void(std::size_t, Buffer, std::uint64_t)>;
    virtual void get(std::span<const std::string> items, const OnFound& on_found) = 0;
    virtual void remove_all(std::span<const std::string> items) = 0;
  };

  static constexpr double kLease = 0.02;  ///< seconds

  /// Whether this handle has saved the key and not removed it since.
  bool knows(std::string_view key) const;

  /// Notes the keys, calls save(), and notes them again if that took long. One request for all keys
  /// of a folder; three for a new folder and for each of its new parents.
  void note_around(Items& store, std::span<const std::string_view> keys,
                   const std::function<void()>& save);

  /// Call before removing keys.
  void forget(std::span<const std::string> keys);
  /// Call after removing keys: removes the lists of folders that only this handle has written to,
  /// if they are empty now. Two requests per such folder.
  void remove_emptied(Items& store, std::span<const std::string> keys);
  /// Drops names without values from the key's folder once this handle has appended enough to make
  /// that worthwhile. Otherwise costs nothing.
  void tidy(Items& store, std::string_view key);

  /// The keys noted under the prefix, unordered; some may have no value any more. One request per
  /// level of folders.
  std::vector<std::string> keys(Items& store, std::string_view prefix) const;
  /// Removes the values under the prefix and their names; takes slightly longer than kLease if
  /// there are any.
  void clear(Items& store, std::string_view prefix);

  void count_into(std::shared_ptr<Meter> meter) { meter_ = std::move(meter); }

 private:
  /// A folder's list on the server.
  struct List {
    std::string text;
    std::uint64_t version = 0;
  };
  /// What this handle knows about a folder.
  struct Folder {
    std::set<std::string, std::less<>> names;  ///< saved by it, not removed since
    int saving = 0;                            ///< calls of note_around() in progress
    /// The whole list if this handle added it and wrote all of it; otherwise, or if it is too long
    /// to be kept, nullopt.
    std::optional<std::string> own;
    std::size_t appended = 0;  ///< bytes since the last tidying
    /// The list that tidy() read last, and when the lease of its newest name ends.
    std::optional<std::string> seen;
    Deadline settled = Deadline::never();
  };
  /// The lists of the folders in and above a prefix, parents first, and the keys under it.
  struct Tree {
    std::vector<std::pair<std::string, std::string>> lists;
    std::vector<std::string> keys;
    bool empty = true;  ///< no name is under the prefix
  };
  using Gone = std::function<bool(std::string_view name)>;

  void note(Items& store, std::string_view folder, const std::string& lines);
  void noted(std::string_view folder, const std::string& lines, const std::string* added);
  std::vector<std::optional<List>> lists(Items& store, std::span<const std::string> folders) const;
  std::optional<List> list(Items& store, std::string_view folder) const;
  Tree walk(Items& store, std::string_view prefix) const;
  void remove_values(Items& store, std::span<const std::string> keys) const;
  bool drop(Items& store, std::string_view folder, const std::string& seen, const Gone& gone) const;
  void drop_lost(Items& store, std::string_view folder, const std::string& seen);
  void make_room(Items& store, std::string_view folder);
  void count_put(std::size_t bytes) const;
  void count_remove(std::size_t keys) const;

  std::shared_ptr<Meter> meter_;
  mutable std::mutex mutex_;
  std::map<std::string, Folder, std::less<>> folders_;
};

/// `a/b/c` → `a/b`, `c`; `c` → ``, `c`. The parts live as long as `key`.
std::pair<std::string_view, std::string_view> split_key(std::string_view key);
/// The reverse.
std::string join_key(std::string_view folder, std::string_view name);

}  // namespace lambdaml::storage
