#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/faas/failure.h"
#include "lambdaml/faas/lambda_client.h"
#include "lambdaml/faas/registry.h"

/// Events as asynchronous invocations of a function that is deployed on AWS Lambda. Lambda takes an
/// event and never says how it ended: Function::outcome does, which looks where the workers leave
/// their results. Lambda retries by itself, after one and two minutes, as often as the function's
/// event-invoke configuration says. Nothing ends a running Lambda: cancel() only stops watching,
/// and the caller leaves a mark in the job's storage for the workers to see.
namespace lambdaml::faas::aws {
namespace {

using Clock = Deadline::Clock;
using State = EventStatus::State;

constexpr double kSending_s = 60;       ///< for handing over all events, throttling included
constexpr double kFirstPause_s = 0.25;  ///< between two looks
constexpr double kLongestPause_s = 1;
/// Lambda waits one and then two minutes before its retries; cold starts come on top.
constexpr double kRetryDelays_s = 180;
constexpr double kSlack_s = 60;

/// An event that was not heard of for so long is lost: all its tries are over by then.
double patience_s(const Function& function) {
  return (function.retries + 1) * function.timeout_s + (function.retries > 0 ? kRetryDelays_s : 0) +
         kSlack_s;
}

class LambdaInvocations : public Invocations {
 public:
  LambdaInvocations(const Function& function, std::size_t events, FailureObserver observer)
      : function_(function),
        observer_(std::move(observer)),
        status_(events),
        heard_(events, Clock::now()) {
    for (EventStatus& status : status_) status.state = State::running, status.attempts = 1;
    watcher_ = std::thread([this] { watch(); });
  }

  ~LambdaInvocations() override { cancel(); }

  bool wait(double seconds) override {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::duration<double>(std::clamp(seconds, 0.0, 1e9)),
                             [&] { return failed_ > 0 || ended_ == status_.size(); });
  }

  std::vector<EventStatus> status() const override {
    const std::lock_guard lock(mutex_);
    return status_;
  }

  void cancel() override {
    {
      const std::lock_guard lock(mutex_);
      cancelled_ = true;
    }
    changed_.notify_all();
    const std::lock_guard joining(joining_);
    if (watcher_.joinable()) watcher_.join();
  }

 private:
  void watch() {
    double pause_s = kFirstPause_s;
    while (true) {
      bool news = false;
      for (std::size_t i = 0; i < status_.size(); ++i) {
        if (is_over(i)) continue;
        if (is_cancelled()) return end_all_as_cancelled();
        if (const std::optional<EventStatus> found = look(i)) news |= take(i, *found);
      }
      pause_s = news ? kFirstPause_s : std::min(1.3 * pause_s, kLongestPause_s);
      std::unique_lock lock(mutex_);
      if (ended_ == status_.size()) return;
      changed_.wait_for(lock, std::chrono::duration<double>(pause_s), [&] { return cancelled_; });
      if (!cancelled_) continue;
      lock.unlock();
      return end_all_as_cancelled();
    }
  }

  /// What the caller knows about an event, or that nobody has heard of it for too long.
  std::optional<EventStatus> look(std::size_t event) {
    EventStatus failed;
    failed.state = State::failed;
    failed.attempts = 1;
    try {
      if (std::optional<EventStatus> found = function_.outcome(event)) return found;
      if (std::chrono::duration<double>(Clock::now() - heard_[event]).count() <=
          patience_s(function_))
        return {};
      failed.error_type = kTimedOut;
      failed.attempts = function_.retries + 1;
      failed.error_message = fmt::format(
          "{} {}: the function '{}' reported nothing for {:g} s, all its tries included;"
          " its log in CloudWatch says why",
          function_.handler, event, function_.name, patience_s(function_));
    } catch (...) {
      const Failure failure = current_failure();
      const Code code = code_from_string(failure.type);
      if (code == Code::unavailable || code == Code::deadline_exceeded) {
        log::info("looking for the outcome of event {}: {}", event, failure.message);
        return {};
      }
      failed.error_type = failure.type;
      failed.error_message = fmt::format("{} {}: looking for its outcome: {}", function_.handler,
                                         event, failure.message);
    }
    return failed;
  }

  /// Whether something changed.
  bool take(std::size_t event, EventStatus found) {
    found.attempts = std::max(found.attempts, 1);
    if (found.state == State::waiting) found.state = State::running;
    const bool failed = found.state == State::failed;
    heard_[event] = Clock::now();
    if (failed) report(event, found);
    const std::lock_guard lock(mutex_);
    const bool changed =
        found.state != status_[event].state || found.attempts != status_[event].attempts;
    status_[event] = std::move(found);
    if (status_[event].state != State::running) ++ended_;
    if (failed) ++failed_;
    if (changed) changed_.notify_all();
    return changed;
  }

  void report(std::size_t event, const EventStatus& status) {
    if (!observer_) return;
    try {
      observer_(event, status, false);
    } catch (...) {
      log::warning("the observer of failures failed: {}", current_failure().message);
    }
  }

  void end_all_as_cancelled() {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < status_.size(); ++i) {
      EventStatus& status = status_[i];
      if (status.state != State::running) continue;
      status.state = State::failed;
      status.error_type = to_string(Code::cancelled);
      status.error_message = fmt::format("{} {}: cancelled", function_.handler, i);
      ++ended_;
      ++failed_;
    }
    changed_.notify_all();
  }

  bool is_over(std::size_t event) const {
    const std::lock_guard lock(mutex_);
    return status_[event].state != State::running;
  }
  bool is_cancelled() const {
    const std::lock_guard lock(mutex_);
    return cancelled_;
  }

  const Function function_;
  const FailureObserver observer_;
  mutable std::mutex mutex_;  ///< guards what follows, up to cancelled_
  std::condition_variable changed_;
  std::vector<EventStatus> status_;  ///< its size never changes
  std::size_t ended_ = 0;
  std::size_t failed_ = 0;
  bool cancelled_ = false;
  std::vector<Clock::time_point> heard_;  ///< the watcher's own
  std::mutex joining_;                    ///< guards watcher_
  std::thread watcher_;
};

class LambdaInvoker : public Invoker {
 public:
  /// Costs a request for each event, and two before.
  std::unique_ptr<Invocations> invoke_all(const Function& function,
                                          std::vector<std::string> payloads,
                                          FailureObserver observer) override {
    if (function.name.empty())
      fail(Code::invalid_argument,
           "the platform 'aws' needs the name of a deployed function; give --function NAME");
    if (!function.outcome)
      fail(Code::internal, "the platform 'aws' needs a way to see how events end");
    LambdaClient client;
    if (function.all_at_once) check_concurrency(client, function.name, payloads.size());
    client.invoke_all_events(function.name, payloads, Deadline::in(kSending_s));
    return std::make_unique<LambdaInvocations>(function, payloads.size(), std::move(observer));
  }

 private:
  static void check_concurrency(LambdaClient& client, const std::string& name, std::size_t wanted) {
    std::optional<int> limit;
    std::string_view whose = "reserved for the function";
    try {
      limit = client.get_concurrency(name);
      if (!limit) {
        limit = client.account_settings().unreserved_concurrency;
        whose = "of the account";
      }
    } catch (const Error& error) {
      // Who may invoke need not be allowed to ask, and a service of this machine need not know; a
      // function that is not there is said when it is called.
      if (error.code() != Code::permission_denied && error.code() != Code::not_found &&
          error.code() != Code::data_corrupt)
        throw;
      log::info("cannot see the concurrency limit: {}", error.what());
      return;
    }
    if (wanted <= static_cast<std::size_t>(std::max(*limit, 0))) return;
    fail(Code::resource_exhausted,
         "the function '{}': {} workers must run at the same time, the concurrency {} is {}; use "
         "fewer workers, raise the limit, or take --sync-mode async",
         name, wanted, whose, *limit);
  }
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "aws",
                .help = "a function deployed on AWS Lambda; see `lambdaml deploy`",
                .separate_processes = true,
                .remote = true,
                .make = [] { return std::make_unique<LambdaInvoker>(); }});
}

}  // namespace lambdaml::faas::aws
