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

#include "lambdaml/base/deadline.h"
#include "lambdaml/storage/memcached/client.h"
#include "lambdaml/storage/meter.h"

namespace lambdaml::storage::memcached {

/// Which keys there are: Memcached cannot tell, so each folder has an item that lists its children.
///
/// The item of `a/b` holds a line for each key in it (`name`) and each folder (`name/`), names
/// maybe several times, below a first line (`/GENERATION`) that no other item has had. Lines are
/// appended; whoever finds no item adds one and appends the folder to its parent's. A key is noted
/// *before* its value is saved, so a crash leaves a name without a value, which is harmless, and
/// never a value without a name. list() asks for the values of all names, so it shows what is
/// there.
///
/// Names without a value are dropped now and then, and by clear(): by cas, so that nothing that
/// others append meanwhile is lost. What remains is a writer between its two requests, whose name
/// has no value *yet*. Two rules keep that name:
///
///   * A writer whose value was saved later than kLease after it began to note the key notes it
///     again.
///   * A name is dropped only when its value is absent kLease or more after the name was read.
///
/// For if the value came within kLease, whoever read the name has seen the value too and keeps the
/// name or removes the value; and if it came later, the name is there again, appended either before
/// the cas, which then fails, or after it. The same holds for a folder's name, noted before the
/// folder's item is added. Clocks are only used to measure time on one machine.
///
/// A handle remembers what it noted. A remembered key is saved by `replace`, which fails where the
/// value is gone; only then may its name be gone too, and the key is noted again.
///
/// When the server drops an item of a folder for want of memory, list() and clear() see less.
/// Thread-safe.
class Index {
 public:
  static constexpr double kLease = 0.02;  ///< seconds

  /// Whether this handle saved the key, and has not removed it since.
  bool knows(std::string_view key) const;

  /// Notes the keys, calls save(), and notes them again if that took long. One request for all keys
  /// of a folder; three for a folder that is new, and for each of its parents that is.
  void note_around(Client& client, std::span<const std::string_view> keys,
                   const std::function<void()>& save);

  /// To be called before keys are removed.
  void forget(std::span<const std::string> keys);
  /// To be called after they were: removes the lists of folders that this handle alone has written
  /// in, if they hold nothing any more. Two requests for such a folder.
  void remove_emptied(Client& client, std::span<const std::string> keys);
  /// Drops names of the key's folder that have lost their values, when this handle has appended so
  /// much that it is worth it. Costs nothing otherwise.
  void tidy(Client& client, std::string_view key);

  /// The keys noted under the prefix, in no order; they may have lost their values. A request for
  /// each level of folders.
  std::vector<std::string> keys(Client& client, std::string_view prefix) const;
  /// Removes the values under the prefix and the names of these; takes kLease and a little if there
  /// are any.
  void clear(Client& client, std::string_view prefix);

  void count_into(std::shared_ptr<Meter> meter) { meter_ = std::move(meter); }

 private:
  /// What the server has of a folder.
  struct List {
    std::string text;
    std::uint64_t version = 0;
  };
  /// What this handle knows of a folder.
  struct Folder {
    std::set<std::string, std::less<>> names;  ///< saved by it, not removed since
    int saving = 0;                            ///< calls of note_around() that go on
    /// The whole list, if this handle added it and wrote all of it; absent where it did not, or
    /// where the list is too long to be worth it.
    std::optional<std::string> own;
    std::size_t appended = 0;  ///< bytes since the last tidying
    /// What a tidying has read, and when the lease of its youngest name ends.
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

  void note(Client& client, std::string_view folder, const std::string& lines);
  void noted(std::string_view folder, const std::string& lines, const std::string* added);
  std::vector<std::optional<List>> lists(Client& client,
                                         std::span<const std::string> folders) const;
  std::optional<List> list(Client& client, std::string_view folder) const;
  Tree walk(Client& client, std::string_view prefix) const;
  void remove_values(Client& client, std::span<const std::string> keys) const;
  bool drop(Client& client, std::string_view folder, const std::string& seen,
            const Gone& gone) const;
  void drop_lost(Client& client, std::string_view folder, const std::string& seen);
  void make_room(Client& client, std::string_view folder);
  void count_put(std::size_t bytes) const;
  void count_remove(std::size_t keys) const;

  std::shared_ptr<Meter> meter_;
  mutable std::mutex mutex_;
  std::map<std::string, Folder, std::less<>> folders_;
};

}  // namespace lambdaml::storage::memcached
