#include <mutex>
#include <system_error>
#include <thread>

#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/faas/event_board.h"
#include "lambdaml/faas/failure.h"
#include "lambdaml/faas/handlers.h"
#include "lambdaml/faas/registry.h"

/// Events as threads of this process: nothing to start and no protocol. To be read first, and the
/// reference in tests. A thread cannot be killed, so a handler that overruns its deadline is
/// reported when it returns, and cancel() waits for the handlers, which should check
/// Invocation::deadline and Invocation::cancelled. Function::memory_mb, environment and log_folder
/// are ignored.
namespace lambdaml::faas::threads {
namespace {

class ThreadInvocations : public Invocations {
 public:
  ThreadInvocations(const Function& function, std::vector<std::string> payloads,
                    FailureObserver observer)
      : function_(function),
        payloads_(std::move(payloads)),
        board_(payloads_.size(), std::move(observer)) {
    try {
      for (std::size_t i = 0; i < payloads_.size(); ++i)
        threads_.emplace_back([this, i, cancellation = Cancellation::current()] {
          const Cancellation::Scope scope(cancellation);
          run(i);
        });
    } catch (const std::system_error& error) {
      const std::size_t started = threads_.size();
      cancel();
      fail(Code::resource_exhausted, "cannot start thread {} of {} for {}: {}", started + 1,
           payloads_.size(), function_.handler, error.what());
    }
  }

  ~ThreadInvocations() override { cancel(); }

  bool wait(double seconds) override { return board_.wait(seconds); }
  std::vector<EventStatus> status() const override { return board_.all(); }

  void cancel() override {
    board_.cancel();
    *stop_ = true;
    const std::lock_guard lock(joining_);
    for (std::thread& thread : threads_)
      if (thread.joinable()) thread.join();
  }

 private:
  void run(std::size_t event) {
    const std::string request_id = new_request_id();
    EventStatus status;
    while (!board_.is_cancelled()) {
      status.state = EventStatus::State::running;
      ++status.attempts;
      board_.set(event, status);
      std::string response;
      const std::optional<Failure> failure = try_once(event, request_id, response);
      if (!failure && function_.goes_on && function_.goes_on(response)) {
        status.attempts = 0;
        continue;
      }
      if (!end_try(event, status, failure, std::move(response))) return;
      if (!board_.pause(retry_pause_s(function_.retry_delay_s, status.attempts))) break;
    }
    board_.end_as_cancelled(event, function_.handler);
  }

  std::optional<Failure> try_once(std::size_t event, const std::string& request_id,
                                  std::string& response) {
    Invocation invocation;
    invocation.request_id = request_id;
    invocation.payload = payloads_[event];
    invocation.deadline = Deadline::in(function_.timeout_s);
    invocation.function_arn = function_.handler;
    invocation.cancelled = stop_;
    std::optional<Failure> failure;
    try {
      response = function_.in_process(invocation);
      if (response.size() > kMaxResponseBytes)
        failure = Failure{std::string(kResponseTooLarge),
                          fmt::format("the response has {} bytes", response.size())};
    } catch (...) {
      failure = current_failure();
    }
    if (invocation.deadline.passed())
      failure = Failure{std::string(kTimedOut),
                        fmt::format("timed out after {:g} s", function_.timeout_s)};
    return failure;
  }

  /// Whether to retry.
  bool end_try(std::size_t event, EventStatus& status, const std::optional<Failure>& failure,
               std::string response) {
    bool retry = false;
    if (failure) {
      status.error_type = failure->type;
      status.error_message = fmt::format("{} {}: {}", function_.handler, event, failure->message);
      retry = !board_.is_cancelled() && status.attempts <= function_.retries &&
              function_.worth_a_retry(failure->type);
      status.state = retry ? EventStatus::State::waiting : EventStatus::State::failed;
      board_.report(event, status, retry);
    } else {
      status.state = EventStatus::State::succeeded;
      status.response = std::move(response);
    }
    board_.set(event, status);
    return retry;
  }

  const Function function_;
  const std::vector<std::string> payloads_;
  EventBoard board_;
  const std::shared_ptr<std::atomic<bool>> stop_ = std::make_shared<std::atomic<bool>>(false);
  std::mutex joining_;  ///< guards threads_ after the constructor
  std::vector<std::thread> threads_;
};

class ThreadInvoker : public Invoker {
 public:
  std::unique_ptr<Invocations> invoke_all(const Function& function,
                                          std::vector<std::string> payloads,
                                          FailureObserver observer) override {
    Function complete = function;
    complete.in_process = handler_here(function, "threads");
    return std::make_unique<ThreadInvocations>(complete, std::move(payloads), std::move(observer));
  }
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "threads",
                .help = "events as threads of this process; for tests and for debugging",
                .separate_processes = false,
                .billed_as = "lambda",
                .make = [](const Options&) { return std::make_unique<ThreadInvoker>(); }});
}

}  // namespace lambdaml::faas::threads
