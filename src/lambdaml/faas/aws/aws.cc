#include <algorithm>
#include <array>
#include <cstdlib>

#include "lambdaml/aws/lambda/lambda_client.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/base/environment.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/service/patience.h"
#include "lambdaml/base/text.h"
#include "lambdaml/faas/failure.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/faas/runtime.h"
#include "lambdaml/faas/watched_invocations.h"

/// Events as asynchronous invocations of a function that is deployed on AWS Lambda. Lambda accepts
/// an event and never reports how it ended: Function::query_status does, by reading the workers'
/// results. Lambda itself retries, after one and two minutes, as often as the function's
/// event-invoke configuration says. A running function cannot be ended: cancel() only stops
/// watching, and the caller leaves a stop request for the workers in the job's storage.
///
/// AWS outlives its functions. A service at another endpoint (`lambdaml emulate`) loses its events
/// and functions when it ends, so while there is no news of them this checks whether the service is
/// there.
namespace lambdaml::faas::aws {
namespace {

using State = EventStatus::State;

constexpr double kSending_s = 60;       ///< for sending all events, throttling included
constexpr double kFirstPause_s = 0.25;  ///< between two polls
constexpr double kLongestPause_s = 1;
/// A Lambda function has a processor for each 1,769 MB: docs.aws.amazon.com/lambda/latest/dg,
/// "Configure Lambda function memory".
constexpr double kMegabytesOfProcessor = 1769;
constexpr double kLongestFunction_s = 900;
constexpr double kExamination_s = 5;  ///< for whether a function can be called
/// Lambda waits one and then two minutes before its retries; cold starts come on top.
constexpr double kRetryDelays_s = 180;
constexpr double kSlack_s = 60;
/// A service other than AWS is checked after this long without news. If it has given no sign of
/// life for as long as a store may take to come back (docs/reference/channels.md), its events are
/// lost.
double quiet_s() { return PatiencePolicy::standard().outage_s / 4; }

/// An event without news for this long is lost: all its attempts are over by then.
double patience_s(const Function& function) {
  return (function.retries + 1) * function.timeout_s + (function.retries > 0 ? kRetryDelays_s : 0) +
         kSlack_s;
}

class LambdaInvocations : public WatchedInvocations {
 public:
  LambdaInvocations(const Function& function, std::string name,
                    std::unique_ptr<lambdaml::aws::LambdaClient> client, std::size_t events,
                    FailureObserver observer)
      : WatchedInvocations(events, std::move(observer)),
        function_(function),
        name_(std::move(name)),
        client_(std::move(client)),
        last_news_(events, time_now()) {
    EventStatus running;
    running.state = State::running;
    running.attempts = 1;
    for (std::size_t i = 0; i < events; ++i) board_.set(i, running);
    start_watching([this] { watch(); });
  }

  ~LambdaInvocations() override { cancel(); }

 private:
  void watch() {
    double pause_s = kFirstPause_s;
    do {
      bool news = false;
      if (client_->is_custom()) check_service();
      std::vector<std::size_t> events = running();
      std::vector<std::optional<EventStatus>> found = statuses_of(events);
      for (std::size_t i = 0; i < events.size() && !board_.is_cancelled(); ++i)
        if (found[i]) news |= take(events[i], std::move(*found[i]));
      if (running().empty()) break;
      pause_s = news ? kFirstPause_s : std::min(1.3 * pause_s, kLongestPause_s);
    } while (board_.pause(pause_s));
    for (std::size_t i = 0; i < last_news_.size(); ++i)
      board_.end_as_cancelled(i, function_.handler);
  }

  std::vector<std::size_t> running() const {
    std::vector<std::size_t> events;
    for (std::size_t i = 0; i < last_news_.size(); ++i)
      if (board_.at(i).state == State::running) events.push_back(i);
    return events;
  }

  /// If the service no longer exists, the running events have failed.
  void check_service() {
    if (since_sign_.seconds() < quiet_s()) return;
    std::string why;
    try {
      if (client_->answers(Deadline::in(quiet_s()), why)) since_sign_ = Stopwatch();
    } catch (...) {
      why = current_failure().message;
    }
    if (since_sign_.seconds() < PatiencePolicy::standard().outage_s) return;
    for (std::size_t i = 0; i < last_news_.size(); ++i) {
      if (board_.at(i).state != State::running) continue;
      EventStatus failed;
      failed.state = State::failed;
      failed.may_still_run = true;
      failed.error_type = to_string(Code::unavailable);
      failed.error_message =
          fmt::format("{} {}: nothing was heard of it, and its Lambda service does not answer: {}",
                      function_.handler, i, why);
      take(i, std::move(failed));
    }
  }

  /// The caller's status of the events; an event without news for too long has failed.
  std::vector<std::optional<EventStatus>> statuses_of(std::span<const std::size_t> events) {
    std::optional<std::vector<std::optional<EventStatus>>> found;
    try {
      found = told_by_storage(function_, events);
    } catch (const Error&) {
      // An interrupt: the caller cancels.
    }
    if (!found) return std::vector<std::optional<EventStatus>>(events.size());
    for (std::size_t i = 0; i < events.size(); ++i)
      if (!(*found)[i] && is_silent(events[i])) (*found)[i] = lost(events[i]);
    return *std::move(found);
  }

  bool is_silent(std::size_t event) const {
    return std::chrono::duration<double>(time_now() - last_news_[event]).count() >
           patience_s(function_);
  }

  EventStatus lost(std::size_t event) const {
    EventStatus failed;
    failed.state = State::failed;
    failed.may_still_run = true;
    failed.error_type = kTimedOut;
    failed.attempts = function_.retries + 1;
    failed.error_message = fmt::format(
        "{} {}: the function '{}' reported nothing for {:g} s, all its attempts included;"
        " its log in CloudWatch says why",
        function_.handler, event, name_, patience_s(function_));
    return failed;
  }

  /// Returns whether something changed.
  bool take(std::size_t event, EventStatus found) {
    found.attempts = std::max(found.attempts, 1);
    if (found.state == State::waiting) found.state = State::running;
    last_news_[event] = time_now();
    since_sign_ = Stopwatch();
    if (found.state == State::failed) board_.report(event, found, false);
    const EventStatus before = board_.at(event);
    const bool changed = found.state != before.state || found.attempts != before.attempts;
    board_.set(event, std::move(found));
    return changed;
  }

  const Function function_;
  const std::string name_;  ///< of the deployed function
  const std::unique_ptr<lambdaml::aws::LambdaClient> client_;
  std::vector<TimePoint> last_news_;  ///< used by the watcher only
  Stopwatch since_sign_;              ///< of life, of an event or the service; the watcher's own
};

class LambdaInvoker : public Invoker {
 public:
  explicit LambdaInvoker(std::string function) : function_(std::move(function)) {}

  /// One request per event, and two before them.
  std::unique_ptr<Invocations> invoke_all(const Function& function,
                                          std::vector<std::string> payloads,
                                          FailureObserver observer) override {
    if (!function.query_status)
      fail(Code::internal, "the platform 'aws' needs a way to see how events end");
    auto client = std::make_unique<lambdaml::aws::LambdaClient>();
    if (function.all_at_once) check_concurrency(*client, function_, payloads.size());
    client->invoke_all_events(function_, payloads, Deadline::in(kSending_s));
    return std::make_unique<LambdaInvocations>(function, function_, std::move(client),
                                               payloads.size(), std::move(observer));
  }

 private:
  static void check_concurrency(lambdaml::aws::LambdaClient& client, const std::string& name,
                                std::size_t wanted) {
    std::optional<int> limit;
    std::string_view whose = "reserved for the function";
    try {
      limit = client.get_concurrency(name);
      if (!limit) {
        limit = client.account_settings().unreserved_concurrency;
        whose = "of the account";
      }
    } catch (const Error& error) {
      // A caller that may invoke may lack the permission to read, and a service on this machine may
      // not support it; a missing function is reported when it is invoked.
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

  const std::string function_;
};

/// A Lambda service on this machine (`lambdaml emulate`): its functions see this machine's files.
bool service_is_here() {
  const std::string endpoint = lambdaml::aws::LambdaClient().endpoint();
  return endpoint.find("://127.0.0.1") != std::string::npos ||
         endpoint.find("://localhost") != std::string::npos;
}

/// The event carries no trace header of the present one: Lambda counts invocations by it and ends a
/// chain of about 16 as a loop, and a worker of a long job needs more. What bounds its chain is
/// `patience_s`, which spans its invocations.
std::optional<OwnFunction> own_function_of_lambda() {
  const char* name = std::getenv("AWS_LAMBDA_FUNCTION_NAME");
  if (name == nullptr) return {};
  return OwnFunction{.platform = {},
                     .name = name,
                     .invoke = [name = std::string(name)](const std::string& payload) {
                       lambdaml::aws::LambdaClient().invoke_all_events(name, std::array{payload});
                     }};
}

/// Nothing if the caller may not ask, or the service on this machine does not answer that; a
/// missing function is reported when it is invoked.
DeployedFunction deployed_function(const Options& options) {
  const std::string& name = options.text("function");
  if (const auto own = own_function_of_lambda(); own && own->name == name)
    return {own_memory_mb(), own_architecture()};
  try {
    const auto function = lambdaml::aws::LambdaClient().get_configuration(name);
    return {function.settings.memory_mb, function.architecture};
  } catch (const Error& error) {
    if (error.code() != Code::permission_denied && error.code() != Code::not_found &&
        error.code() != Code::data_corrupt)
      throw;
    log::info("cannot see the settings of the function '{}': {}", name, error.what());
    return {};
  }
}

std::string region_of_environment() {
  for (const char* name : {"AWS_REGION", "AWS_DEFAULT_REGION"})
    if (const std::optional<std::string> region = environment_variable(name)) return *region;
  return {};
}

void require_function(const Options& options) {
  if (options.text("function").empty())
    fail(
        Code::invalid_argument,
        "the platform aws runs a deployed function: name it with --function (lambdaml deploy makes "
        "one)");
}

/// A call that only checks whether it is allowed, and the function's settings.
std::string examine_function(const Options& options) {
  require_function(options);
  const std::string& name = options.text("function");
  lambdaml::aws::LambdaClient client;
  const Deadline deadline = Deadline::in(kExamination_s);
  client.invoke(name, {.mode = lambdaml::aws::InvokeRequest::Mode::dry_run}, deadline);
  std::string found = fmt::format("function '{}' at {}", name, client.endpoint());
  try {
    const lambdaml::aws::FunctionDescription function = client.get_configuration(name);
    if (function.state == "Failed" || function.update == "Failed")
      fail(Code::unavailable, "{}: it cannot be called: {}", found,
           printable(function.reason.empty() ? function.state : function.reason));
    if (function.settings.memory_mb) found += fmt::format(", {} MB", *function.settings.memory_mb);
    if (function.settings.timeout_s) found += fmt::format(", {} s", *function.settings.timeout_s);
    if (!function.architecture.empty()) found += ", " + printable(function.architecture);
  } catch (const Error& error) {
    if (error.code() != Code::permission_denied) throw;
    found += "; its settings may not be read";
  }
  return found;
}

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "aws",
                .help = "a function deployed on AWS Lambda; see `lambdaml deploy`",
                .options = {{.name = "function",
                             .default_value = std::string(),
                             .help = "name or ARN of the deployed function, for the platform aws",
                             .aliases = {"function_name"},
                             .execution_only = true}},
                .separate_processes = true,
                .remote = true,
                .longest_s = kLongestFunction_s,
                .memory = MemoryRange{.least = 128,
                                      .usual = static_cast<std::int64_t>(kMegabytesOfProcessor),
                                      .most = 10'240},
                .billed_as = "lambda",
                .processors = [](double memory_mb) { return memory_mb / kMegabytesOfProcessor; },
                .deployed_function = deployed_function,
                .runs_here = [](const Options&) { return service_is_here(); },
                .own_function = own_function_of_lambda,
                .own_region = region_of_environment,
                .check = require_function,
                .examine = examine_function,
                .options_within = {{"function", "lambdaml-worker"}},
                .make =
                    [](const Options& options) {
                      require_function(options);
                      return std::make_unique<LambdaInvoker>(options.text("function"));
                    }});
}

}  // namespace lambdaml::faas::aws
