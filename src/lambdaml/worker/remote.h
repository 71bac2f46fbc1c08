#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "lambdaml/faas/runtime.h"

/// A worker on a platform that does not report how its event ends.
namespace lambdaml::worker {

/// Runs `work`, writes how it ended to the job's channel and its log beside the checkpoints,
/// because the trigger cannot learn it otherwise. A worker whose work continues invokes its own
/// function again with the same event, unless the sender does. Throws an error that another attempt
/// may avoid, so that the service retries.
///
/// `work` receives a function that it should call about once a second: it saves the newest 256 KB
/// of the log, at most one PUT in 5 s and one at the end.
struct RemoteWorker {
  std::string job_id;
  std::uint32_t worker = 0;
  std::string channel;
  std::string log_place = {};  ///< the store beside whose checkpoints its log is; empty: none
};
using Work = std::function<std::string(const std::function<void()>& each_second)>;
std::string report_to_storage(const faas::Invocation& invocation, const RemoteWorker& worker,
                              const Work& work);

}  // namespace lambdaml::worker
