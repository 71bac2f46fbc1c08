#include "lambdaml/faas/sandbox/execution_environment.h"

#include <array>
#include <chrono>
#include <string_view>

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/text.h"

namespace lambdaml::faas::sandbox {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono::milliseconds;

constexpr milliseconds kEndPoll{10};
constexpr milliseconds kMemoryPoll{50};
constexpr milliseconds kShutdownGrace{500};
/// If a streamed response fails, its error is in a trailer.
constexpr std::size_t kRuntimeHeadBytes = 64u << 10;

/// The last three hold passwords and certificates of services that functions use.
constexpr std::array<std::string_view, 7> kInherited = {
    "PATH", "HOME", "LD_LIBRARY_PATH", "TMPDIR", "REDISCLI_AUTH", "SSL_CERT_FILE", "SSL_CERT_DIR"};

bool is_inherited(std::string_view name) {
  for (const std::string_view one : kInherited)
    if (name == one) return true;
  return name.starts_with("LAMBDAML_") || name.starts_with("AWS_") || name.ends_with("SAN_OPTIONS");
}

std::int64_t epoch_ms_in(double seconds) {
  const auto now = wall_now().time_since_epoch();
  return std::chrono::duration_cast<milliseconds>(now).count() +
         static_cast<std::int64_t>(std::min(seconds, 1e9) * 1e3);
}

/// A trace id in X-Ray's format, from the digits of the request id: the same for all attempts of an
/// event.
std::string trace_id_of(std::string_view request_id) {
  std::string digits;
  for (const char c : request_id)
    if (c != '-') digits += c;
  return fmt::format("Root=1-{}-{};Parent={};Sampled=0", digits.substr(0, 8), digits.substr(8, 24),
                     digits.substr(16, 16));
}

}  // namespace

Variables inherited_variables() {
  Variables out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::size_t equals = text.find('=');
    if (equals != std::string_view::npos && is_inherited(text.substr(0, equals)))
      out.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return out;
}

std::shared_ptr<ExecutionEnvironment> ExecutionEnvironment::start(asio::io_context& loop,
                                                                  const Function& function,
                                                                  const Settings& settings) {
  std::shared_ptr<ExecutionEnvironment> environment(
      new ExecutionEnvironment(loop, function, settings));
  environment->log_.start(environment);
  environment->watch_process();
  environment->watch_memory();
  return environment;
}

ExecutionEnvironment::ExecutionEnvironment(asio::io_context& loop, const Function& function,
                                           const Settings& settings)
    : function_arn_(!settings.function_arn.empty()
                        ? settings.function_arn
                        : "arn:aws:lambda:local:000000000000:function:" + function.handler),
      memory_mb_(function.memory_mb),
      api_([this](Result result) {
        finish({std::move(result.failure), std::move(result.response), {}});
      }),
      // A streamed response may take as long as the event, so there are no time limits.
      server_(loop, {.body_bytes = kMaxResponseBytes, .head_bytes = kRuntimeHeadBytes},
              {.serve = [this](auto exchange) { api_.serve(std::move(exchange)); },
               .too_large = [this](const HttpRequest& head) { return api_.refuse_large(head); }}),
      process_(process_settings(function, settings)),
      log_(loop, process_.take_output(), settings.log_file, settings.on_log),
      end_(loop),
      poll_(loop),
      memory_(loop),
      timeout_(loop),
      on_end_(settings.on_end) {
  api_.on_waiting(settings.on_waiting);
  if (FileDescriptor end = process_.take_end()) end_.assign(end.release());
}

ProcessSettings ExecutionEnvironment::process_settings(const Function& function,
                                                       const Settings& settings) const {
  Variables variables = settings.inherited;
  const std::string& name =
      settings.function_name.empty() ? function.handler : settings.function_name;
  variables["_HANDLER"] = function.handler;
  variables["AWS_LAMBDA_FUNCTION_NAME"] = name;
  variables["AWS_LAMBDA_FUNCTION_VERSION"] = "$LATEST";
  variables["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] = std::to_string(function.memory_mb);
  variables["AWS_LAMBDA_LOG_GROUP_NAME"] = "/aws/lambda/" + name;
  variables["AWS_LAMBDA_LOG_STREAM_NAME"] = settings.log_stream;
  variables["AWS_LAMBDA_RUNTIME_API"] = fmt::format("127.0.0.1:{}", server_.port());
  variables["LAMBDA_TASK_ROOT"] =
      (settings.folder.empty() ? function.executable.parent_path() : settings.folder).string();
  variables["TZ"] = ":UTC";
  for (const auto& [key, value] : function.environment) variables[key] = value;

  ProcessSettings out;
  out.executable = function.executable;
  out.folder = settings.folder;
  out.memory_mb = settings.limit_allocation ? function.memory_mb : 0;
  out.descriptors = settings.descriptors;
  for (const auto& [key, value] : variables) out.environment.push_back(key + "=" + value);
  return out;
}

void ExecutionEnvironment::invoke(std::string request_id, std::string payload, double timeout_s,
                                  Done done) {
  done_ = std::move(done);
  timeout_.expires_after(std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double>(std::min(timeout_s, 1e9))));
  timeout_.async_wait([self = shared_from_this(), timeout_s](error_code error) {
    if (error || !self->done_ || self->timeout_.expiry() > time_now()) return;
    self->kill_because(
        kTimedOut, fmt::format("timed out after {:g} s{}", timeout_s,
                               self->api_.has_started() ? "" : ", before it asked for its event"));
  });
  std::string trace_id = trace_id_of(request_id);
  api_.offer({std::move(request_id), std::move(payload), epoch_ms_in(timeout_s), function_arn_,
              std::move(trace_id)});
}

void ExecutionEnvironment::watch_process() {
  const auto look = [self = shared_from_this()](error_code error) {
    if (error) return;
    if (const std::optional<int> status = self->process_.try_reap())
      self->on_end(*status);
    else
      self->watch_process();
  };
  if (end_.is_open()) {
    end_.async_wait(asio::posix::stream_descriptor::wait_read, look);
  } else {
    poll_.expires_after(kEndPoll);
    poll_.async_wait(look);
  }
}

/// RLIMIT_DATA makes malloc fail first; this catches memory that the limit does not cover.
void ExecutionEnvironment::watch_memory() {
  memory_.expires_after(kMemoryPoll);
  memory_.async_wait([self = shared_from_this()](error_code error) {
    // A timer that has just expired can no longer be cancelled.
    if (error || self->ended_) return;
    const std::size_t bytes = private_memory(self->process_.id());
    self->most_memory_ = std::max(self->most_memory_, bytes);
    if (bytes > static_cast<std::size_t>(self->memory_mb_) << 20) {
      self->kill_because(kOutOfMemory, fmt::format("used {} of memory and may use {} MB",
                                                   human_bytes(bytes), self->memory_mb_));
    } else {
      self->watch_memory();
    }
  });
}

void ExecutionEnvironment::kill_because(std::string_view type, std::string message) {
  killed_because_ = Failure{std::string(type), std::move(message)};
  process_.kill();
}

void ExecutionEnvironment::on_end(int status) {
  ended_ = true;
  memory_.cancel();
  timeout_.cancel();
  error_code ignored;
  end_.close(ignored);
  server_.close();
  log_.drain();
  log_.close();
  if (done_) finish({killed_because_ ? *killed_because_ : failure_of_exit(status), {}, {}});
  if (const auto call = std::exchange(on_end_, nullptr)) call();
}

Failure ExecutionEnvironment::failure_of_exit(int status) const {
  const std::vector<std::string> said = log_.last_lines();
  return {
      std::string(WIFSIGNALED(status) ? kKilled : kExitError),
      fmt::format("{} {}{}", describe_status(status),
                  api_.has_started() ? "while it ran its event" : "before it asked for its event",
                  said.empty() ? "" : "; it said last: " + said.back())};
}

void ExecutionEnvironment::finish(AttemptResult result) {
  timeout_.cancel();
  if (!done_) return;
  log_.drain();
  if (result.failure) result.last_log_lines = log_.last_lines();
  const Done done = std::exchange(done_, nullptr);
  done(std::move(result));
}

void ExecutionEnvironment::when_gone(std::function<void()> then) {
  if (ended_) return then();
  on_end_ = [first = std::move(on_end_), then = std::move(then)] {
    if (first) first();
    then();
  };
}

void ExecutionEnvironment::shut_down() {
  done_ = nullptr;
  api_.end();
  process_.freeze(false);
  timeout_.expires_after(kShutdownGrace);
  timeout_.async_wait([self = shared_from_this()](error_code error) {
    if (!error) self->process_.kill();
  });
}

void ExecutionEnvironment::kill() {
  done_ = nullptr;
  if (!killed_because_) killed_because_ = Failure{std::string(kKilled), "it was ended"};
  api_.end();
  process_.kill();
}

}  // namespace lambdaml::faas::sandbox
