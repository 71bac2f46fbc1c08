#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/faas/failure.h"
#include "lambdaml/faas/registry.h"

/// Events as threads of this process: nothing to start, nothing to talk to; to be read first and
/// the reference in tests. What a thread cannot give: it cannot be killed, so a handler that
/// overruns its deadline is reported when it returns, and cancel() waits for the handlers, which
/// should look at Invocation::deadline and Invocation::cancelled. Function::memory_mb, environment
/// and log_folder have no meaning here.
namespace lambdaml::faas::threads {
namespace {

class ThreadInvocations : public Invocations {
 public:
  ThreadInvocations(const Function& function, std::vector<std::string> payloads,
                    FailureObserver observer)
      : function_(function),
        observer_(std::move(observer)),
        payloads_(std::move(payloads)),
        status_(payloads_.size()) {
    try {
      for (std::size_t i = 0; i < payloads_.size(); ++i)
        threads_.emplace_back([this, i] { run(i); });
    } catch (const std::system_error& error) {
      const std::size_t started = threads_.size();
      cancel();
      fail(Code::resource_exhausted, "cannot start thread {} of {} for {}: {}", started + 1,
           payloads_.size(), function_.handler, error.what());
    }
  }

  ~ThreadInvocations() override { cancel(); }

  bool wait(double seconds) override {
    std::unique_lock lock(mutex_);
    const auto over = [&] { return failed_ > 0 || ended_ == status_.size(); };
    return changed_.wait_for(lock, std::chrono::duration<double>(std::min(seconds, 1e9)), over);
  }

  std::vector<EventStatus> status() const override {
    const std::lock_guard lock(mutex_);
    return status_;
  }

  void cancel() override {
    {
      const std::lock_guard lock(mutex_);
      cancelled_ = true;
      *stop_ = true;
    }
    changed_.notify_all();
    const std::lock_guard lock(joining_);
    for (std::thread& thread : threads_)
      if (thread.joinable()) thread.join();
  }

 private:
  void run(std::size_t event) {
    const std::string request_id = new_request_id();
    double delay_s = function_.retry_delay_s;
    while (begin_try(event)) {
      std::string response;
      const std::optional<Failure> failure = try_once(event, request_id, response);
      if (!failure && function_.goes_on && function_.goes_on(response)) {
        const std::lock_guard lock(mutex_);
        status_[event].attempts = 0;
        delay_s = function_.retry_delay_s;
        continue;
      }
      if (!end_try(event, failure, std::move(response))) return;
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, std::chrono::duration<double>(delay_s), [&] { return cancelled_; });
      delay_s *= 2;
    }
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

  /// False when the event was cancelled before.
  bool begin_try(std::size_t event) {
    const std::lock_guard lock(mutex_);
    EventStatus& status = status_[event];
    if (cancelled_) {
      status.state = EventStatus::State::failed;
      status.error_type = to_string(Code::cancelled);
      status.error_message = fmt::format("{} {}: cancelled", function_.handler, event);
      ++ended_;
      ++failed_;
      changed_.notify_all();
      return false;
    }
    status.state = EventStatus::State::running;
    ++status.attempts;
    return true;
  }

  /// Whether there is to be another try.
  bool end_try(std::size_t event, const std::optional<Failure>& failure, std::string response) {
    std::unique_lock lock(mutex_);
    EventStatus status = status_[event];
    bool retry = false;
    if (failure) {
      status.error_type = failure->type;
      status.error_message = fmt::format("{} {}: {}", function_.handler, event, failure->message);
      retry =
          !cancelled_ && status.attempts <= function_.retries && is_worth_a_retry(failure->type);
      status.state = retry ? EventStatus::State::waiting : EventStatus::State::failed;
    } else {
      status.state = EventStatus::State::succeeded;
      status.response = std::move(response);
    }
    if (failure && observer_) {
      lock.unlock();
      report(event, status, retry);
      lock.lock();
    }
    if (!retry) ++ended_;
    if (status.state == EventStatus::State::failed) ++failed_;
    status_[event] = std::move(status);
    changed_.notify_all();
    return retry;
  }

  void report(std::size_t event, const EventStatus& status, bool retry) {
    const std::lock_guard one_at_a_time(observing_);
    try {
      observer_(event, status, retry);
    } catch (...) {
      log::warning("the observer of failures failed: {}", current_failure().message);
    }
  }

  const Function function_;
  const FailureObserver observer_;
  const std::vector<std::string> payloads_;
  mutable std::mutex mutex_;  ///< guards what follows, up to cancelled_
  std::condition_variable changed_;
  std::vector<EventStatus> status_;
  std::size_t ended_ = 0;
  std::size_t failed_ = 0;
  const std::shared_ptr<std::atomic<bool>> stop_ = std::make_shared<std::atomic<bool>>(false);
  bool cancelled_ = false;
  std::mutex observing_;
  std::mutex joining_;  ///< guards threads_ after the constructor
  std::vector<std::thread> threads_;
};

class ThreadInvoker : public Invoker {
 public:
  std::unique_ptr<Invocations> invoke_all(const Function& function,
                                          std::vector<std::string> payloads,
                                          FailureObserver observer) override {
    if (!function.in_process)
      fail(Code::invalid_argument, "the platform 'threads' needs a handler of this process for {}",
           function.handler);
    return std::make_unique<ThreadInvocations>(function, std::move(payloads), std::move(observer));
  }
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "threads",
                .help = "events as threads of this process; for tests and for debugging",
                .separate_processes = false,
                .make = [] { return std::make_unique<ThreadInvoker>(); }});
}

}  // namespace lambdaml::faas::threads
