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

/// The only loop of this program that waits for keys.
///
/// A worker waits for values that others will save. Three parties take part. The store knows how to
/// sleep (a subscription, a watch on a folder, polls that back off: KeyWatch). The decorators
/// around it know what to check meanwhile (whether the job was stopped, whether this worker's claim
/// is still valid: Storage::add_hooks). The caller knows what else may end the wait (another
/// attempt's merged result). They meet in one loop, so that no layer discards what another has
/// received: a value that has arrived is handed over once and never loaded again.
namespace lambdaml::storage {

/// The keys of one wait as watched by a store: its subscription, when to poll next. Used by one
/// thread; the store must outlive it. Indices refer to the keys given to Storage::watch().
class KeyWatch {
 public:
  KeyWatch() = default;
  KeyWatch(const KeyWatch&) = delete;
  KeyWatch& operator=(const KeyWatch&) = delete;
  virtual ~KeyWatch() = default;

  /// Returns values that have arrived and were not returned before, for keys with an index below
  /// `below`: as soon as there is at least one, or none once the deadline has passed. The first
  /// call polls at least once; a passed deadline alone causes no poll, so calls with short
  /// deadlines cost nothing. Throws what load() throws; values that had arrived by then are
  /// returned by the next call.
  virtual std::vector<Arrival> next(Deadline deadline, std::size_t below) = 0;
  /// Polls all missing keys once and returns the values that are there.
  virtual std::vector<Arrival> poll_all() = 0;
  /// How much of the calls' time went into requests that brought values; the rest was waiting.
  virtual double receiving_s() const { return 0; }
};

/// Bookkeeping shared by the stores' watches.
class ListedKeyWatch : public KeyWatch {
 public:
  explicit ListedKeyWatch(std::vector<std::string> keys);
  std::vector<Arrival> next(Deadline deadline, std::size_t below) final;
  std::vector<Arrival> poll_all() final;
  double receiving_s() const final { return receiving_s_; }

 protected:
  /// Returns once found() was called or the deadline has passed.
  virtual void wait(Deadline deadline, std::size_t below) = 0;
  /// Polls these keys once and calls found() for those that exist.
  virtual void look_up(std::span<const std::size_t> which) = 0;
  void poll(std::span<const std::size_t> which) {
    timed([&] { look_up(which); });
  }
  /// Counts the time of a request as receiving if it finds a value.
  template <class Request>
  void timed(Request&& request) {
    const Stopwatch clock;
    const std::size_t before = found_.size();
    request();
    if (found_.size() > before) receiving_s_ += clock.seconds();
  }

  const std::vector<std::string>& keys() const { return keys_; }
  const std::string& key(std::size_t index) const { return keys_[index]; }
  /// The first missing keys with an index below `below`, at most `most`.
  std::vector<std::size_t> missing(
      std::size_t below, std::size_t most = std::numeric_limits<std::size_t>::max()) const;
  bool any_found() const { return !found_.empty(); }
  void found(std::size_t index, Buffer value);
  /// Calls found() for those of the keys that are in the store: one load_present().
  void load_from(Storage& store, std::span<const std::size_t> which);
  /// Whether `below` exceeds that of all earlier calls, so that there are new keys to watch.
  bool reaches_further(std::size_t below);

 private:
  std::vector<std::string> keys_;
  std::vector<bool> there_;
  std::size_t first_missing_ = 0;
  std::size_t reached_ = 0;
  std::vector<Arrival> found_;
  double receiving_s_ = 0;
};

/// Watches by polling the first missing key, paced by `pacer`. When it has arrived, the next keys
/// are polled in batches (load_present()) that grow up to `keys_at_once` while all are there and
/// shrink when some are absent. So a poll that finds nothing costs one request, however many keys
/// are missing.
std::unique_ptr<KeyWatch> watch_by_polling(Storage& store, std::vector<std::string> keys,
                                           Pacer& pacer, std::size_t keys_at_once = 1);

/// Watches by polling all missing keys, in one load_present() each time: for stores that answer
/// within some tens of microseconds, however many keys they are asked for. A poll follows
/// pause_of_polling_all() after the last one.
std::unique_ptr<KeyWatch> watch_all_by_polling(Storage& store, std::vector<std::string> keys);
/// A tenth of the elapsed seconds; from 60 µs to 1 ms, after 20 ms to 0.2 s.
double pause_of_polling_all(double waited_s);

/// An action that is repeated while a wait lasts.
struct WaitHook {
  /// Returns false to end the wait; an exception ends it too.
  std::function<bool()> call;
  /// Seconds from the beginning of the wait to the first call; then pauses double, up to
  /// `longest_s`. Calls are delayed while the store or the caller is busy.
  double first_s = 1;
  double longest_s = 1;
};

/// A wait for several keys. Used by one thread; the store must outlive it.
class Wait {
 public:
  /// Ends at `end` at the latest. Adds the store's own hooks. Sends no request yet.
  Wait(Storage& store, std::vector<std::string> keys, Deadline end);

  void add_hook(WaitHook hook);
  /// Loads no key that is `window` or more positions behind the first missing one, so that a caller
  /// that needs the values in order holds fewer than `window` of them. Call before the first
  /// next().
  void load_ahead_at_most(std::size_t window) { window_ = window; }

  /// The next value in the order of arrival; nullopt if all were handed over or a hook has ended
  /// the wait. At the deadline, polls all missing keys once more; if none has
  /// arrived, throws MissingKeys, which names all missing keys.
  std::optional<Arrival> next();
  /// The same in the order of the keys: the values of the keys from taken() on, as many as have
  /// arrived, at least one; empty when next() would return nullopt. Do not mix with next().
  std::vector<Buffer> next_in_order();
  /// The number of values that next_in_order() has handed over.
  std::size_t taken() const { return taken_; }

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
