#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/leftover.h"
#include "lambdaml/control/stores.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::control {

/// The error of a job that leaves behind what it should not.
class LeftBehind : public Error {
 public:
  LeftBehind(const Error& error, std::string what_is_left)
      : Error(error.code(), fmt::format("{}; {}", error.what(), what_is_left)),
        what_is_left_(std::move(what_is_left)) {}
  /// In words, with what removes it.
  const std::string& what_is_left() const { return what_is_left_; }

 private:
  std::string what_is_left_;
};

/// A job's channel as its trigger uses it.
class JobChannel {
 public:
  enum class Stop {
    patient,  ///< waits some seconds for the workers to acknowledge, and leaves nothing
    at_once,  ///< does not wait; for a trigger that has no time, or whose job goes on immediately:
              ///< the trigger that takes it over fences earlier workers out anyway
  };
  /// One GET. Throws when the channel cannot be reached, or is none of ours: then there is nothing
  /// to clear either.
  /// `stores` must outlive it.
  JobChannel(Stores& stores, const std::string& uri, const std::string& job_id, bool keep,
             Stop stop);
  /// Closes it, if use() did not.
  ~JobChannel();
  JobChannel(const JobChannel&) = delete;

  storage::Storage& store() const { return *store_; }
  Stores& stores() const { return stores_; }

  /// Calls `work`, returns what it returns, and closes the channel on every way out. What cannot be
  /// tidied up is said in the error that `work` throws, LeftBehind then, or logged when it throws
  /// none. When the channel is left to another trigger (Superseded) it is not touched. Throws
  /// cancelled when the user interrupts the closing.
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

  /// For a job that goes on. Workers of its earlier trigger may still be at work: from now on none
  /// of them counts, so none begins to save another checkpoint, and those that are there can be
  /// chosen from. A PUT a worker.
  void take_over(std::uint32_t workers);
  /// Stops workers that the platform does not end; `at_work` are those whose end is not known. A
  /// PUT a worker, a GET for each of them, and if it is patient a wait for those that have begun.
  /// Never throws.
  void stop(std::uint32_t workers, const std::vector<std::uint32_t>& at_work) noexcept;

 private:
  /// Removes what the job wrote, unless it is kept or left; what stops workers that may still be at
  /// work stays. Returns what is left that should not be, in words; empty for nothing.
  std::string close() noexcept;
  void finish();
  [[noreturn]] void fail_closed();
  /// The workers whose key is not there, or does not come in that time.
  std::vector<std::uint32_t> without(const std::vector<std::uint32_t>& workers,
                                     std::string (*key_of)(std::uint32_t), double patience_s) const;

  Stores& stores_;
  std::shared_ptr<storage::Storage> store_;
  bool keep_;
  Stop stop_;
  const std::string left_keys_;          ///< in words
  std::optional<Leftover> unless_done_;  ///< until it is closed
  std::vector<std::string> stopped_;     ///< claims of workers that may not have seen them
  std::size_t running_ = 0;              ///< functions whose end is not known
};

/// Tells the trigger of a job and all its workers to stop, in its channel. A PUT, and one a worker.
void stop_workers(storage::Storage& channel, std::uint32_t workers);

}  // namespace lambdaml::control
