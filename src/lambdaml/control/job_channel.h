#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/control/leftover.h"
#include "lambdaml/control/stores.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::control {

/// The error of a job that could not remove everything it should have.
class LeftBehind : public Error {
 public:
  LeftBehind(const Error& error, std::string what_is_left)
      : Error(error.code(), fmt::format("{}; {}", error.what(), what_is_left)),
        what_is_left_(std::move(what_is_left)) {}
  /// A description, with how to remove it.
  const std::string& what_is_left() const { return what_is_left_; }

 private:
  std::string what_is_left_;
};

/// A job's channel, as used by its trigger. Used by one thread; store() is thread-safe.
class JobChannel {
 public:
  enum class Stop {
    patient,  ///< waits some seconds for the workers to acknowledge, and leaves nothing
    at_once,  ///< does not wait; for a trigger that has no time, or whose job goes on immediately:
              ///< the trigger that takes it over fences earlier workers out anyway
  };
  /// One GET. Throws if the channel cannot be reached or is not a valid one: then there is nothing
  /// to clear either.
  /// `stores` must outlive it.
  JobChannel(Stores& stores, const std::string& uri, const std::string& job_id, bool keep,
             Stop stop);
  /// Closes it unless use() did.
  ~JobChannel();
  JobChannel(const JobChannel&) = delete;

  storage::Storage& store() const { return *store_; }
  Stores& stores() const { return stores_; }

  /// Calls `work`, returns its result, and closes the channel on every way out. If something cannot
  /// be removed, that is added to the error that `work` throws, as a LeftBehind, or logged if it
  /// throws none. If another trigger has taken over the channel (Superseded) it is not touched.
  /// Throws cancelled if the user interrupts the closing.
  template <class Work>
  auto use(Work&& work) {
    try {
      auto result = std::forward<Work>(work)();
      finish();
      return result;
    } catch (...) {
      fail_closed();
    }
  }

  /// For a job that is resumed: invalidates the claims of workers of its earlier trigger that may
  /// still be running. They save no further checkpoints, so one of the existing ones can be chosen.
  /// One PUT per worker.
  void take_over(std::uint32_t workers);
  /// Stops workers that the platform does not end; `at_work` are those whose end is unknown. One
  /// PUT per worker, one GET for each of those, and, if patient, a wait for those that have begun.
  /// Never throws.
  void stop(std::uint32_t workers, const std::vector<std::uint32_t>& at_work) noexcept;

 private:
  /// Removes what the job wrote, unless it is kept or taken over; keys that stop workers which may
  /// still run stay. Returns a description of what is left but should not be; empty if nothing is.
  std::string close() noexcept;
  void clear();
  /// Clears once more after so long.
  void clear_late_saves(double seconds) noexcept;
  void finish();
  [[noreturn]] void fail_closed();
  /// The workers whose key is absent and does not arrive within that time.
  std::vector<std::uint32_t> without(const std::vector<std::uint32_t>& workers,
                                     std::string (*key_of)(std::uint32_t), double patience_s) const;

  Stores& stores_;
  std::shared_ptr<storage::Storage> store_;
  bool is_service_;  ///< which may go on when nobody waits for its answer
  bool keep_;
  Stop stop_;
  const std::string left_keys_;          ///< description
  std::optional<Leftover> unless_done_;  ///< until it is closed
  std::vector<std::string> stopped_;     ///< claims that stop workers which may not have read them
  std::size_t running_ = 0;              ///< functions whose end is not known
};

/// Tells a job's trigger and all its workers to stop, through its channel. One PUT, and one per
/// worker. Thread-safe.
void stop_workers(storage::Storage& channel, std::uint32_t workers);

}  // namespace lambdaml::control
