#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lambdaml/faas/invoker.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::trigger {

/// Where a job's functions run. If the channel exists only within this process, its workers are
/// threads of this process, whatever platform was requested.
class Platform {
 public:
  Platform(const std::string& name, const Options& job, const storage::Storage& channel);
  /// Whether the workers of such a job are threads of this process.
  static bool has_threads(const std::string& name, const storage::Storage& channel);

  /// The worker as a function of this platform, with default limits. Its executable, if any, is
  /// worker_executable().
  faas::Function function() const;
  /// The same with the job's limits and log level.
  faas::Function function_for(const Options& job) const;
  std::unique_ptr<faas::Invocations> invoke_all(const faas::Function& function,
                                                std::vector<std::string> payloads,
                                                faas::FailureObserver observer) const;

 private:
  const faas::Plugin& plugin_;
  std::unique_ptr<faas::Invoker> invoker_;
};

/// The function executable of platforms that start processes: the value of LAMBDAML_WORKER, or
/// own_file("lambdaml-worker") of base/programs/own_file.h. It need not exist.
std::filesystem::path worker_executable();

/// Waits for all events and returns their responses, calling `tick` about 20 times a second. If one
/// fails for good, all others are cancelled and the failure is thrown: an Error with the worker's
/// own code if another attempt could not help, otherwise `workers_lost`, naming the worker, the
/// reason and its last log line. Throws cancelled if the user interrupts.
std::vector<std::string> wait_for_all(faas::Invocations& invocations,
                                      const std::function<void()>& tick = {});

/// The workers whose end is unknown, by the status of their events.
std::vector<std::uint32_t> workers_at_work(const std::vector<faas::EventStatus>& events);

}  // namespace lambdaml::trigger
