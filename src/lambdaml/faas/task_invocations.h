#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lambdaml/faas/invoker.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::faas {

/// What runs the tasks. Used by one thread at a time.
class BatchSystem {
 public:
  virtual ~BatchSystem() = default;
  /// Submits tasks of these ranks. Throws what a user should know: unavailable and
  /// deadline_exceeded if it may be tried again; none of the tasks runs on then.
  virtual void start(const std::vector<std::size_t>& ranks) = 0;
  /// Those of `ranks` whose newest task runs no more and will not by itself, with the reason.
  virtual std::map<std::size_t, std::string> ended(const std::vector<std::size_t>& ranks) = 0;
  /// The last lines that a task printed, at most 10.
  virtual std::vector<std::string> last_lines(std::size_t rank) = 0;
  /// Ends all tasks, also those whose submission failed, and waits for their end, for some seconds.
  virtual void cancel() noexcept = 0;
};

/// Leaves the events in the store and watches how the tasks end. Failed tasks are started again by
/// `system`, within the events' attempts; null: the tasks are started, and run again, by somebody
/// else. An event may wait for its task as long as it takes. A batch system that is away when a
/// task is to be started again is asked again for ten minutes.
std::unique_ptr<Invocations> invoke_tasks(const Function& function,
                                          std::shared_ptr<storage::Storage> store,
                                          std::unique_ptr<BatchSystem> system,
                                          const std::vector<std::string>& payloads,
                                          FailureObserver observer);

}  // namespace lambdaml::faas
