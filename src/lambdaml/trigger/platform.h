#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lambdaml/faas/invoker.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::trigger {

/// Where a job's functions run. A channel that lives within this process has its workers there too,
/// as threads, whatever platform was asked for.
class Platform {
 public:
  Platform(const std::string& name, const storage::Storage& channel);

  /// Events run on other machines: they reach no file and no memory of this one.
  bool is_remote() const { return plugin_.remote; }

  /// The worker as a function of this platform, with default limits. The executable, where there is
  /// one, is `lambdaml-worker` beside this one, or what LAMBDAML_WORKER names.
  faas::Function function() const;
  std::unique_ptr<faas::Invocations> invoke_all(const faas::Function& function,
                                                std::vector<std::string> payloads,
                                                faas::FailureObserver observer) const;

 private:
  const faas::Plugin& plugin_;
  std::unique_ptr<faas::Invoker> invoker_;
};

/// Waits for all events and returns their responses, calling `tick` about 20 times a second. When
/// one has failed for good, all others are cancelled and the failure is thrown: an Error of the
/// worker's own code for what another try could not mend, `workers_lost` for a worker that died,
/// naming it, the reason and its last log line. Throws cancelled when the user interrupts.
std::vector<std::string> wait_for_all(faas::Invocations& invocations,
                                      const std::function<void()>& tick = {});

}  // namespace lambdaml::trigger
