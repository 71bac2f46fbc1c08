#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/faas/outcome.h"
#include "lambdaml/storage/storage.h"

/// Events of the tasks of an array job. Nothing can be sent to a task: a batch system starts as
/// many as there are events, tells each its rank, and runs it again if it fails. So the events lie
/// in a store, `RANK/event`, where each task finds its own, and leaves how it ended, `RANK/end`.
namespace lambdaml::faas {

/// How an attempt of a task ended.
struct TaskEnd {
  std::string attempt;  ///< its id: an end that was read before is not a new one
  Outcome outcome;
};

/// The caller's side of one call's events.
class TaskEvents {
 public:
  /// Saves the events, in one batch. Throws what the store throws; none is left then.
  TaskEvents(std::shared_ptr<storage::Storage> store, const std::vector<std::string>& payloads);
  /// Removes events and ends.
  ~TaskEvents();
  TaskEvents(const TaskEvents&) = delete;
  TaskEvents& operator=(const TaskEvents&) = delete;

  /// How the newest attempts of these tasks that have ended did, in the order of `ranks`. A task
  /// that is run again replaces its end whenever it likes. One load for each.
  std::vector<std::optional<TaskEnd>> ends(const std::vector<std::size_t>& ranks);
  const storage::Storage& store() const { return *store_; }

 private:
  void remove() noexcept;

  const std::shared_ptr<storage::Storage> store_;
  const std::size_t tasks_;
};

/// Whether LAMBDAML_EVENTS says where this task's event is.
bool is_task();
/// The rank that the batch system gave this task: the first of these variables that is set. Throws
/// invalid_argument if none is, or not to a number.
std::size_t rank_of_task(std::span<const char* const> variables);
/// Runs this task's event, which may appear within LAMBDAML_EVENTS_WAIT_S seconds (600), and leaves
/// how it ended. Returns the exit code: 0, or 1 if the batch system should run the task again.
int serve_task(const Handler& handler, std::span<const char* const> rank_variables);
/// Within serve_task(): has the handler called again with this payload when it returns.
void continue_task(const std::string& payload);

}  // namespace lambdaml::faas
