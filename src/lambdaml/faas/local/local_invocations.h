#pragma once

#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <boost/asio/steady_timer.hpp>

#include "lambdaml/faas/event_board.h"
#include "lambdaml/faas/local/local_service.h"
#include "lambdaml/faas/sandbox/execution_environment.h"

namespace lambdaml::faas::local {

/// The events of one call, run by the service of this process: its thread counts their tries and
/// calls the observer. A try that failed is repeated in another environment.
class LocalInvocations : public Invocations {
 public:
  LocalInvocations(const Function& function, std::vector<std::string> payloads,
                   FailureObserver observer);
  ~LocalInvocations() override;

  bool wait(double seconds) override { return board_.wait(seconds); }
  std::vector<EventStatus> status() const override { return board_.all(); }
  void cancel() override;

 private:
  friend class LocalService;
  /// What belongs to the loop's thread of one event.
  struct Slot {
    std::string payload;
    std::string request_id;
    std::shared_ptr<sandbox::ExecutionEnvironment> environment;
    boost::asio::steady_timer retry;
    int attempts = 0;
  };

  void start_from(std::size_t event, std::promise<void>& started);
  void start(std::size_t event);
  void start_again(std::size_t event);
  void on_outcome(std::size_t event, sandbox::Outcome outcome);
  /// Calls `then`, if any, when the processes are gone.
  void kill_all(const Failure& why, std::function<void()> then = {});
  std::string name_of(std::size_t event) const;

  const std::shared_ptr<LocalService> service_;
  const Function function_;
  EventBoard board_;
  bool stopping_ = false;  ///< the loop's thread's own
  /// False once nothing may touch this any more: a timer that has just expired cannot be cancelled.
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::vector<Slot> slots_;

  std::mutex cancelling_;  ///< guards cancelled_
  bool cancelled_ = false;
};

}  // namespace lambdaml::faas::local
