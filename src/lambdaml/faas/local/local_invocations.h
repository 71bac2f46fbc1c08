#pragma once

#include <condition_variable>
#include <exception>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "lambdaml/faas/invoker.h"
#include "lambdaml/faas/local/environment.h"

namespace lambdaml::faas::local {

/// The events of one call, each in an environment of its own, all driven by one thread: it makes
/// the processes (which die with it), serves their Runtime APIs, counts their tries and calls the
/// observer. It ends when no process is left.
class LocalInvocations : public Invocations {
 public:
  LocalInvocations(const Function& function, std::vector<std::string> payloads,
                   FailureObserver observer);
  ~LocalInvocations() override;

  bool wait(double seconds) override;
  std::vector<EventStatus> status() const override;
  void cancel() override;

 private:
  /// What belongs to the loop's thread of one event.
  struct Slot {
    std::string payload;
    std::string request_id;
    std::shared_ptr<Environment> environment;
    boost::asio::steady_timer retry;
    int attempts = 0;
  };

  void start_from(std::size_t event, std::promise<void>& started);
  void start(std::size_t event);
  void start_again(std::size_t event);
  void on_outcome(std::size_t event, Outcome outcome);
  void run_loop();
  void kill_all(const Failure& why);
  void publish(std::size_t event, EventStatus status);
  std::string name_of(std::size_t event) const;

  const Function function_;
  const FailureObserver observer_;
  const Variables inherited_;
  int descriptors_ = 0;  ///< a function's limit on open files: this process's before it was raised
  bool stopping_ = false;  ///< the loop's thread's own
  boost::asio::io_context loop_;
  std::vector<Slot> slots_;

  /// Guards what follows, up to failed_. Only the loop's thread writes these, so it reads them
  /// without.
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<EventStatus> status_;
  std::size_t ended_ = 0;
  std::size_t failed_ = 0;

  std::mutex joining_;  ///< guards thread_
  std::thread thread_;
};

}  // namespace lambdaml::faas::local
