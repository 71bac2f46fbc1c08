#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/options.h"
#include "lambdaml/job/running_cost.h"
#include "lambdaml/trigger/trigger.h"
#include "lambdaml/tune/bell.h"

namespace lambdaml::tune {

/// The names of a fold's job and of its run's folder, by those of the trial.
std::string id_of_fold(const std::string& job_id, std::int64_t fold);
std::string folder_of_fold(const std::string& folder, std::int64_t fold);

/// The job of one segment, on its own thread. Destruction ends the job. While that thread runs, all
/// methods but summary() may be called from any other; the destructor from one, after the others.
class SegmentJob : private trigger::Observer {
 public:
  /// With `folds` it is so many jobs, one after another, whose output and id have the fold's number
  /// added. `options` are resolved and include `output` and `checkpoint`. Rings, on the job's
  /// thread, when the job has ended; `bell` must outlive this object.
  SegmentJob(std::string job_id, Options options, std::int64_t folds, Bell& bell);
  ~SegmentJob() override;
  SegmentJob(const SegmentJob&) = delete;

  void stop() { stop_ = true; }
  /// Ends the job and leaves its channel to the tuner that has taken over the segment.
  void leave() { superseded_ = true; }
  bool was_stopped() const { return stop_; }
  bool has_ended() const { return ended_; }

  /// Done so far; of several folds the mean.
  std::uint64_t epoch() const { return epoch_; }
  /// Of the last epoch; of several folds the means of those that are done, of the first one until
  /// then.
  std::map<std::string, double> metrics() const;
  double seconds() const { return ended_ ? wall_s_ : clock_.seconds(); }
  /// An upper estimate of what its functions have cost so far: all of them, for the whole time
  /// since the first was started.
  double cost_so_far() const;

  /// Only after has_ended(): the summary; throws the job's error if it failed.
  std::shared_ptr<const nlohmann::ordered_json> summary();

 private:
  void starting(const trigger::JobStart& job) override;
  void epoch_done(const job::EpochMetrics& metrics) override;
  void tick(std::uint32_t workers_alive, std::uint64_t epoch, std::uint64_t round,
            std::uint64_t rounds) override;
  void run() noexcept;
  nlohmann::ordered_json run_folds();
  void throw_if_ended() const;

  const std::string job_id_;
  const Options options_;
  const std::int64_t folds_;
  Bell& bell_;
  const Stopwatch clock_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> superseded_{false};
  /// Dollars, with the memory that the functions have. Written before started_s_, read after it.
  job::RunningCost cost_;
  std::atomic<double> started_s_{-1};  ///< when its functions were started; negative: not yet
  std::atomic<bool> ended_{false};
  std::atomic<std::uint64_t> epoch_{0};
  std::uint64_t earlier_epochs_ = 0;    ///< of folds that are done
  std::atomic<double> earlier_usd_{0};  ///< of these
  double wall_s_ = 0;
  mutable std::mutex mutex_;
  std::map<std::string, double> metrics_;
  bool has_fold_ = false;  ///< metrics_ are those of folds that are done
  std::shared_ptr<const nlohmann::ordered_json> summary_;
  std::exception_ptr error_;
  std::thread thread_;
};

}  // namespace lambdaml::tune
