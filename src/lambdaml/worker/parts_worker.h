#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/base/deadline.h"
#include "lambdaml/control/stores.h"
#include "lambdaml/control/worker_claim.h"
#include "lambdaml/faas/runtime.h"

namespace lambdaml::worker {

/// What the workers of jobs without rounds have in common: their claim, their time, and the report
/// at their end. Used by one thread.
class PartsWorker {
 public:
  /// The time that is left for the end of the work, and what the error says when it is over:
  /// "worker W: its function's time is over", followed by `over`.
  struct Reserve {
    double seconds;
    std::string_view over;
  };
  /// All arguments must outlive it.
  template <class Event>
  PartsWorker(const Event& event, const faas::Invocation& invocation,
              const std::function<void()>& each_second, Reserve reserve)
      : PartsWorker(event.channel, event.job_id, event.worker, event.sent_ms, invocation,
                    each_second, reserve) {}

  control::Stores& stores() { return stores_; }
  control::WorkerClaim& claim() { return claim_; }
  /// Another handle of the job's channel.
  std::shared_ptr<storage::Storage> open_channel();

  /// Whether to go on; not before the worker has claimed its place. Throws cancelled if the job was
  /// stopped, what WorkerClaim::require_now_and_then() throws, and what require_time() does.
  void between();
  /// Throws resource_exhausted if the function's time is over but for the reserve.
  void require_time() const;
  /// Seconds until then.
  double seconds_left() const { return invocation_.deadline.seconds_left() - reserve_.seconds; }

  /// Adds the worker's statistics (job::WorkerStats) to an object, saves it as the worker's result
  /// in `channel` and returns it as JSON. One PUT.
  std::string report(storage::Storage& channel, nlohmann::json object);

 private:
  PartsWorker(const std::string& channel, const std::string& job_id, std::uint32_t worker,
              std::int64_t sent_ms, const faas::Invocation& invocation,
              const std::function<void()>& each_second, Reserve reserve);

  const std::string& channel_uri_;
  const std::string& job_id_;
  const std::uint32_t worker_;
  const std::int64_t sent_ms_;
  const faas::Invocation& invocation_;
  const std::function<void()>& each_second_;
  const Reserve reserve_;
  const std::int64_t arrived_ms_ = epoch_ms();
  const Stopwatch running_;
  /// The trigger has reached all of them.
  control::Stores stores_{control::Stores::Services::answered};
  control::WorkerClaim claim_;
};

}  // namespace lambdaml::worker
