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

/// The events of one call, run by this process's service: its thread counts attempts and calls the
/// observer. A failed attempt is repeated in another environment. Public methods are thread-safe.
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
  /// The state of one event; used by the loop's thread only.
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
  void on_result(std::size_t event, sandbox::AttemptResult result);
  /// Calls `then`, if any, when all processes have ended.
  void kill_all(const Failure& why, std::function<void()> then = {});
  std::string name_of(std::size_t event) const;

  const std::shared_ptr<LocalService> service_;
  const Function function_;
  EventBoard board_;
  bool stopping_ = false;  ///< used by the loop's thread only
  /// False once this must not be used any more: a timer that has just expired cannot be cancelled.
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::vector<Slot> slots_;

  std::mutex cancelling_;  ///< guards cancelled_
  bool cancelled_ = false;
};

}  // namespace lambdaml::faas::local
