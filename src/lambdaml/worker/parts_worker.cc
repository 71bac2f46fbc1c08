#include "lambdaml/worker/parts_worker.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/control/channel.h"
#include "lambdaml/job/worker_stats.h"

namespace lambdaml::worker {

PartsWorker::PartsWorker(const std::string& channel, const std::string& job_id,
                         std::uint32_t worker, std::int64_t sent_ms,
                         const faas::Invocation& invocation,
                         const std::function<void()>& each_second, Reserve reserve)
    : channel_uri_(channel),
      job_id_(job_id),
      worker_(worker),
      sent_ms_(sent_ms),
      invocation_(invocation),
      each_second_(each_second),
      reserve_(reserve),
      claim_(open_channel(), worker) {}

std::shared_ptr<storage::Storage> PartsWorker::open_channel() {
  return stores_.open_channel(channel_uri_, job_id_);
}

void PartsWorker::between() {
  if (invocation_.cancelled && *invocation_.cancelled) fail(Code::cancelled, "the job was stopped");
  claim_.require_now_and_then();
  if (each_second_) each_second_();
  require_time();
}

void PartsWorker::require_time() const {
  if (seconds_left() < 0)
    fail(Code::resource_exhausted, "worker {}: its function's time is over{}", worker_,
         reserve_.over);
}

std::string PartsWorker::report(storage::Storage& channel, nlohmann::json object) {
  job::WorkerStats stats;
  stats.startup_s = std::max(0.0, static_cast<double>(arrived_ms_ - sent_ms_) / 1e3);
  stats.run_s = running_.seconds();
  stats.describe_function();
  stats.invocations = 1;
  stats.usage = stores_.usage();
  object.update(stats.to_json());
  object["worker"] = worker_;
  const std::string text = json_text(object);
  channel.save(control::keys::result(worker_), as_bytes(text));
  return text;
}

}  // namespace lambdaml::worker
