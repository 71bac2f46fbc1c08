#include "lambdaml/worker/measuring_worker.h"

#include <algorithm>
#include <memory>
#include <vector>

#include <nlohmann/json.hpp>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/control/channel.h"
#include "lambdaml/control/stores.h"
#include "lambdaml/control/worker_claim.h"
#include "lambdaml/job/worker_stats.h"
#include "lambdaml/worker/entry.h"
#include "lambdaml/worker/measure_store.h"

namespace lambdaml::worker {
namespace {

/// Since this process began. One that is younger was started for its event: it waits for none.
const Stopwatch since_start;
constexpr double kColdFor_s = 2;

class MeasuringWorker {
 public:
  MeasuringWorker(const job::CalibrateEvent& event, const faas::Invocation& invocation,
                  const std::function<void()>& each_second)
      : event_(event),
        invocation_(invocation),
        each_second_(each_second),
        claim_(stores_.open_channel(event.channel, event.job_id), event.worker),
        channel_(control::channel_of_rounds(stores_.open_channel(event.channel, event.job_id),
                                            invocation, [this] { between(); })) {}

  std::string run() {
    return unless_superseded(claim_, [this] { return work(); });
  }

 private:
  std::string work() {
    const Entry entry = enter(*channel_, claim_, event_.worker);
    if (entry.answer) return *entry.answer;
    wait_for_all();
    const auto place = storage::with_prefix(stores_.open_channel(event_.channel, event_.job_id),
                                            fmt::format("measured/{}/", event_.worker));
    MeasureLimits limits;
    limits.seconds = event_.seconds;
    if (event_.most_requests > 0) {
      limits.requests = event_.most_requests;
      limits.large_requests = kLeastLargeRequests;  // some stores bill bytes
    }
    limits.between = [this] { between(); };
    return report(measure_store(*place, limits));
  }

  /// What several take at once is measured while all of them measure.
  void wait_for_all() {
    std::vector<std::string> keys;
    for (std::uint32_t worker = 0; worker < event_.workers; ++worker)
      keys.push_back(fmt::format("measured/ready/{}", worker));
    channel_->save(keys[event_.worker], {});
    channel_->load_all(
        keys, Deadline::in(std::min(event_.patience_s, invocation_.deadline.seconds_left() - 1)));
  }

  void between() {
    if (invocation_.cancelled && *invocation_.cancelled)
      fail(Code::cancelled, "the measurement was stopped");
    claim_.require_now_and_then();
    if (each_second_) each_second_();
    constexpr double kReserve_s = 1;
    if (invocation_.deadline.seconds_left() < kReserve_s)
      fail(Code::resource_exhausted, "worker {}: its function's time is over", event_.worker);
  }

  std::string report(const StoreMeasure& measure) {
    job::WorkerStats stats;
    stats.startup_s = std::max(0.0, static_cast<double>(arrived_ms_ - event_.sent_ms) / 1e3);
    stats.run_s = running_.seconds();
    stats.describe_function();
    stats.invocations = 1;
    stats.usage = stores_.usage();
    nlohmann::json all = stats.to_json();
    all["worker"] = event_.worker;
    all["cold"] = is_cold_;
    all["measure"] = measure.to_json();
    const std::string text = json_text(all);
    channel_->save(control::keys::result(event_.worker), as_bytes(text));
    return text;
  }

  const job::CalibrateEvent& event_;
  const faas::Invocation& invocation_;
  const std::function<void()>& each_second_;
  const std::int64_t arrived_ms_ = epoch_ms();
  const bool is_cold_ = since_start.seconds() < kColdFor_s;
  const Stopwatch running_;
  control::Stores stores_{control::Stores::Services::answered};
  control::WorkerClaim claim_;
  std::shared_ptr<storage::Storage> channel_;
};

}  // namespace

std::string measure_channel(const job::CalibrateEvent& event, const faas::Invocation& invocation,
                            const std::function<void()>& each_second) {
  return MeasuringWorker(event, invocation, each_second).run();
}

}  // namespace lambdaml::worker
