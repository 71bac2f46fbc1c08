#include "lambdaml/trigger/parts_job.h"

#include <memory>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/control/channel.h"
#include "lambdaml/control/endings.h"
#include "lambdaml/control/worker_report.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/job/job.h"
#include "lambdaml/trigger/channel_status.h"
#include "lambdaml/trigger/platform.h"

namespace lambdaml::trigger {
namespace {

std::unique_ptr<faas::Invocations> start(PartsJob& job) {
  const Platform platform(job.options.text("platform"), job.options, job.channel.store());
  faas::Function function = platform.function_for(job.options);
  function.all_at_once = job.all_at_once;
  if (job::is_remote(job.options))
    function.query_status = status_by_channel(
        job.channel.stores().open_channel(job.options.text("channel"), job.job_id),
        [] { return std::uint64_t{0}; });
  function.worth_a_retry = control::is_worth_another_attempt;
  return platform.invoke_all(function, std::move(job.events),
                             [](std::size_t worker, const faas::EventStatus& status, bool again) {
                               if (again)
                                 log::warning("worker {}: attempt {} failed and is repeated: {}",
                                              worker, status.attempts, status.error_message);
                             });
}

std::vector<std::string> watch(const PartsJob& job, faas::Invocations& invocations) {
  storage::Storage& channel = job.channel.store();
  const double limit_s = job.options.real("deadline");
  const Deadline limit = limit_s > 0 ? Deadline::in(limit_s) : Deadline::never();
  Stopwatch since_poll;
  std::vector<std::string> responses = wait_for_all(invocations, [&] {
    if (limit.passed())
      fail(Code::limit_reached, "job {}: stopped after {} s, as --deadline says", job.job_id,
           limit_s);
    if (since_poll.seconds() < 1) return;
    since_poll = Stopwatch();
    if (channel.load(control::keys::kStop))
      fail(Code::cancelled, "job {}: stopped by lambdaml stop", job.job_id);
  });
  for (const std::string& response : responses)
    for (const std::string_view ending :
         {control::kJobIsOver, control::kJobIsLost, control::kTakenOver})
      if (response == ending)
        fail(Code::unavailable,
             "channel {}: another process has cleared it, or it has lost what the job wrote",
             channel.describe());
  return responses;
}

}  // namespace

std::vector<std::string> run_parts_job(PartsJob job) {
  const auto workers = static_cast<std::uint32_t>(job.events.size());
  job.channel.store().save(control::keys::kJob, {});
  std::unique_ptr<faas::Invocations> invocations;
  try {
    invocations = start(job);
    return watch(job, *invocations);
  } catch (...) {
    if (job::is_remote(job.options))
      job.channel.stop(workers,
                       workers_at_work(invocations ? invocations->status()
                                                   : std::vector<faas::EventStatus>(workers)));
    throw;
  }
}

}  // namespace lambdaml::trigger
