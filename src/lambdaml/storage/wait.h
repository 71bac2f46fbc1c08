#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/base/deadline.h"
#include "lambdaml/storage/storage.h"

/// The one loop of this program that waits for keys.
///
/// A worker waits for values that others will save. Three parties have a say in how: the store
/// knows how to sleep (a subscription, a watch on a folder, polls that back off: KeyWatch), the
/// decorators around it know what must be asked meanwhile (whether the job was stopped, whether
/// this worker's claim still counts: Storage::add_hooks), and the user knows what else may end the
/// wait (another attempt's merged result). They meet in one loop, so that no layer gives up what
/// another has received: a value that has come is handed over once and never loaded again.
namespace lambdaml::storage {

/// The keys of one wait as a store watches them: its subscription, when to poll next. Used by one
/// thread; the store must outlive it. Indices are those of the keys given to Storage::watch().
class KeyWatch {
 public:
  KeyWatch() = default;
  KeyWatch(const KeyWatch&) = delete;
  KeyWatch& operator=(const KeyWatch&) = delete;
  virtual ~KeyWatch() = default;

  /// Returns values that have come and were not returned before, of keys with an index less than
  /// `below`: as soon as there is at least one, or none when the deadline has passed. The first
  /// call polls at least once; a deadline alone causes no poll, so short ones cost nothing. Throws
  /// what load() throws; what had come by then is returned by the next call.
  virtual std::vector<Arrival> next(Deadline deadline, std::size_t below) = 0;
  /// Polls all keys that have not come, once, and returns what is there.
  virtual std::vector<Arrival> poll_all() = 0;
};

/// The bookkeeping that watches of stores share.
class ListedKeyWatch : public KeyWatch {
 public:
  explicit ListedKeyWatch(std::vector<std::string> keys);
  std::vector<Arrival> next(Deadline deadline, std::size_t below) final;
  std::vector<Arrival> poll_all() final;

 protected:
  /// Returns once found() was called, or the deadline has passed.
  virtual void wait(Deadline deadline, std::size_t below) = 0;
  /// Polls these keys once and calls found() for those that are there.
  virtual void poll(std::span<const std::size_t> which) = 0;

  const std::vector<std::string>& keys() const { return keys_; }
  const std::string& key(std::size_t index) const { return keys_[index]; }
  /// The first missing keys with an index less than `below`, at most so many.
  std::vector<std::size_t> missing(
      std::size_t below, std::size_t most = std::numeric_limits<std::size_t>::max()) const;
  bool any_found() const { return !found_.empty(); }
  void found(std::size_t index, Buffer value);
  /// Whether a key with an index less than `below` was not among those of an earlier call.
  bool reaches_further(std::size_t below);

 private:
  std::vector<std::string> keys_;
  std::vector<bool> there_;
  std::size_t first_missing_ = 0;
  std::size_t reached_ = 0;
  std::vector<Arrival> found_;
};

/// Watches by polling the first missing key, paced by `pacer`. When it has come, the next keys are
/// polled too, several in one load_present(): the more, up to `keys_at_once`, the longer all are
/// there, and fewer once some are absent. A poll in vain so costs one request, however many keys
/// are missing.
std::unique_ptr<KeyWatch> watch_by_polling(Storage& store, std::vector<std::string> keys,
                                           Pacer& pacer, std::size_t keys_at_once = 1);

/// Something that is done from time to time while a wait goes on.
struct WaitHook {
  /// Returns false to end the wait; what it throws ends it too.
  std::function<bool()> call;
  /// When it is called first, in seconds from the wait's beginning; then after pauses that double,
  /// up to `longest_s`. It is late when the store or the user takes longer.
  double first_s = 1;
  double longest_s = 1;
};

/// A wait for several keys. For one thread; the store must outlive it.
class Wait {
 public:
  /// Ends at `end` at the latest. Adds the store's own hooks. Begins nothing yet.
  Wait(Storage& store, std::vector<std::string> keys, Deadline end);

  void add_hook(WaitHook hook);
  /// Loads no key that is `window` or more behind the first that has not come, so that who needs
  /// the values in order holds less than `window` of them. Before the first next().
  void load_ahead_at_most(std::size_t window) { window_ = window; }

  /// The next value, in the order of arrival; nullopt when all were handed over, or a hook has
  /// ended the wait (see is_ended()). At the deadline polls all missing keys once more and, when
  /// no value has come, throws MissingKeys, which names all that are missing.
  std::optional<Arrival> next();
  /// The same in the order of the keys: the values of the keys from taken() on, as many as have
  /// come, at least one; empty where next() returns nullopt. Not to be mixed with next().
  std::vector<Buffer> next_in_order();
  /// Keys whose values next_in_order() has handed over.
  std::size_t taken() const { return taken_; }
  bool is_ended() const { return is_ended_; }

 private:
  struct Hook {
    WaitHook hook;
    double pause_s;
    Deadline due;
  };
  void poll_the_last_time();
  void run_hooks();

  Storage& store_;
  std::vector<std::string> keys_;
  Deadline end_;
  Stopwatch waited_;
  std::unique_ptr<KeyWatch> watch_;
  std::vector<Hook> hooks_;
  std::size_t window_ = std::numeric_limits<std::size_t>::max();
  std::deque<Arrival> ready_;
  std::vector<bool> there_;
  std::size_t n_missing_;
  std::size_t first_missing_ = 0;
  std::vector<std::optional<Buffer>> kept_;  ///< by next_in_order(), for later
  std::size_t taken_ = 0;
  bool is_last_poll_done_ = false;
  bool is_ended_ = false;
};

}  // namespace lambdaml::storage
