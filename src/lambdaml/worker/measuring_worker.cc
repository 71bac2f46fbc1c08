#include "lambdaml/worker/measuring_worker.h"

#include <algorithm>
#include <memory>
#include <vector>

#include <nlohmann/json.hpp>

#include "lambdaml/base/deadline.h"
#include "lambdaml/control/channel.h"
#include "lambdaml/worker/entry.h"
#include "lambdaml/worker/measure_store.h"
#include "lambdaml/worker/parts_worker.h"

namespace lambdaml::worker {
namespace {

/// Since this process began. One that is younger was started for its event: it waits for none.
const Stopwatch since_start;
constexpr double kColdFor_s = 2;
constexpr double kReserveToReport_s = 1;

class MeasuringWorker {
 public:
  MeasuringWorker(const job::CalibrateEvent& event, const faas::Invocation& invocation,
                  const std::function<void()>& each_second)
      : event_(event),
        own_(event, invocation, each_second, {kReserveToReport_s, ""}),
        channel_(control::channel_of_rounds(own_.open_channel(), invocation,
                                            [this] { own_.between(); })) {}

  std::string run() {
    return unless_superseded(own_.claim(), [this] { return work(); });
  }

 private:
  std::string work() {
    const Entry entry = enter(*channel_, own_.claim(), event_.worker);
    if (entry.answer) return *entry.answer;
    wait_for_all();
    const auto place =
        storage::with_prefix(own_.open_channel(), fmt::format("measured/{}/", event_.worker));
    MeasureLimits limits;
    limits.seconds = event_.seconds;
    if (event_.most_requests > 0) {
      limits.requests = event_.most_requests;
      limits.large_requests = kLeastLargeRequests;  // some stores bill bytes
    }
    limits.between = [this] { own_.between(); };
    const StoreMeasure measure = measure_store(*place, limits);
    return own_.report(*channel_, {{"cold", is_cold_}, {"measure", measure.to_json()}});
  }

  /// What several take at once is measured while all of them measure.
  void wait_for_all() {
    std::vector<std::string> keys;
    for (std::uint32_t worker = 0; worker < event_.workers; ++worker)
      keys.push_back(fmt::format("measured/ready/{}", worker));
    channel_->save(keys[event_.worker], {});
    channel_->load_all(keys, Deadline::in(std::min(event_.patience_s, own_.seconds_left())));
  }

  const job::CalibrateEvent& event_;
  const bool is_cold_ = since_start.seconds() < kColdFor_s;
  PartsWorker own_;
  std::shared_ptr<storage::Storage> channel_;
};

}  // namespace

std::string measure_channel(const job::CalibrateEvent& event, const faas::Invocation& invocation,
                            const std::function<void()>& each_second) {
  return MeasuringWorker(event, invocation, each_second).run();
}

}  // namespace lambdaml::worker
