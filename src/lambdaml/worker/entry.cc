#include "lambdaml/worker/entry.h"

#include <nlohmann/json.hpp>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/control/channel.h"
#include "lambdaml/control/endings.h"
#include "lambdaml/control/worker_report.h"

namespace lambdaml::worker {
namespace {

/// How long to wait: the trigger of a running job restores the job's key within a second of its
/// loss.
constexpr double kSecondsToPutBack = 3;

/// The value of the job's key; nullopt if there is no such job. If the store can lose the key,
/// waits for it to be restored.
std::optional<Buffer> find_job(storage::Storage& channel) {
  std::optional<Buffer> job = channel.load(control::keys::kJob);
  if (job || channel.capabilities().durable) return job;
  try {
    return channel.load_or_wait(control::keys::kJob, Deadline::in(kSecondsToPutBack));
  } catch (const storage::MissingKeys&) {
    return {};
  }
}

}  // namespace

Entry enter(storage::Storage& channel, control::WorkerClaim& claim, std::uint32_t worker,
            std::string_view start) {
  Entry out;
  const std::optional<Buffer> job = find_job(channel);
  if (!job) {
    log::info("{}: its job is over, or was never begun: nothing to do", channel.describe());
    out.answer = std::string(control::kJobIsOver);
    return out;
  }
  if (job->text() == control::keys::kLost) fail_lost(channel, worker);
  if (!start.empty() && job->text() != start) {
    log::info("{}: its job was resumed since this event was sent: nothing to do",
              channel.describe());
    out.answer = std::string(control::kJobIsOver);
    return out;
  }
  if (channel.load(control::keys::started(worker))) {
    if (const std::optional<Buffer> report = channel.load(control::keys::result(worker))) {
      out.answer = std::string(report->text());
      return out;
    }
    out.again = true;
  } else {
    channel.save(control::keys::started(worker),
                 as_bytes(json_text(nlohmann::json{{"at_ms", epoch_ms()}})));
  }
  claim.claim();
  // A process that stops a job writes this marker before it takes the claims, so a worker sees at
  // least one of them.
  if (channel.load(control::keys::kStop))
    throw control::Stopped(fmt::format("worker {}: its job was stopped", worker));
  return out;
}

std::string unless_superseded(control::WorkerClaim& claim,
                              const std::function<std::string()>& work) {
  try {
    return work();
  } catch (const std::exception& error) {
    if (!claim.is_superseded()) throw;
    log::info("{}: leaving", error.what());
    return std::string(control::kTakenOver);
  }
}

void fail_lost(const storage::Storage& channel, std::uint32_t worker) {
  throw control::JobIsLost(
      fmt::format("worker {}: channel {}: it has lost what this job wrote, so the worker cannot "
                  "begin",
                  worker, channel.describe()));
}

}  // namespace lambdaml::worker
