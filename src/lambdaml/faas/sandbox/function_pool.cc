#include "lambdaml/faas/sandbox/function_pool.h"

#include <chrono>
#include <cmath>
#include <cstdio>

#include <fmt/format.h>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/faas/sandbox/service_error.h"

namespace lambdaml::faas::sandbox {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kTailBytes = 4096;
/// The pause between two starts for asynchronous events, so that requests are answered meanwhile.
constexpr double kStartPause = 0.003;
/// The pause before a retry when this machine cannot start another process.
constexpr double kNoRoomPause = 1;
constexpr std::string_view kInvalidEntrypoint = "Runtime.InvalidEntrypoint";

std::chrono::nanoseconds in(double seconds) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double>(std::min(seconds, 1e9)));
}

bool is_of_platform(std::string_view type) {
  return type == kExitError || type == kKilled || type == kOutOfMemory ||
         type == kInvalidEntrypoint;
}

std::string error_body(const Failure& failure, const std::string& request_id, int timeout_s) {
  json body = {{"errorType", failure.type}, {"errorMessage", failure.message}};
  if (failure.type == kTimedOut)
    body["errorMessage"] = fmt::format("RequestId: {} Error: Task timed out after {}.00 seconds",
                                       request_id, timeout_s);
  else if (is_of_platform(failure.type))
    body["errorMessage"] = fmt::format("RequestId: {} Error: {}", request_id, failure.message);
  else
    body["stackTrace"] = failure.causes;
  return json_text(body);
}

}  // namespace

struct FunctionPool::Instance {
  Instance(boost::asio::io_context& loop) : idle(loop) {}
  std::shared_ptr<ExecutionEnvironment> environment;
  boost::asio::steady_timer idle;
  std::shared_ptr<const CodeFolder> code;
  std::unique_ptr<CodeFolder> scratch;  ///< its /tmp
  std::string revision;
  std::string tail;  ///< of the log of its event
  std::string line;  ///< of stderr, unfinished
  bool is_idle = false;
  bool is_frozen = false;
};

FunctionPool::FunctionPool(Host& host, FunctionConfig config)
    : host_(host), config_(std::move(config)), pause_(host.loop) {}

void FunctionPool::note(std::string_view text) const {
  // Shows a function's own output on the terminal of the user that runs the service.
  std::fprintf(stderr, "%s: %s\n", config_.name.c_str(), printable_text(text).c_str());
}

bool FunctionPool::may_run() const {
  if (reserved) return running_ < *reserved;
  return host_.running < host_.settings.concurrency - host_.reserved;
}

std::shared_ptr<FunctionPool::Instance> FunctionPool::take_instance(const fs::path& log_file) {
  if (idle_.empty()) return start_instance(log_file);
  const std::shared_ptr<Instance> instance = idle_.back();
  if (!log_file.empty()) instance->environment->log_to(log_file);
  idle_.pop_back();
  instance->idle.cancel();
  instance->is_idle = false;
  if (std::exchange(instance->is_frozen, false)) instance->environment->freeze(false);
  return instance;
}

/// Sets what is called when the instance logs, waits for an event, and ends.
void FunctionPool::listen_to(const std::shared_ptr<Instance>& instance, bool to_stderr,
                             ExecutionEnvironment::Settings& settings) {
  const std::weak_ptr<Instance> weak = instance;
  settings.on_log = [this, weak, to_stderr](std::string_view bytes) {
    const auto self = weak.lock();
    if (!self) return;
    self->tail += bytes;
    if (self->tail.size() > kTailBytes) self->tail.erase(0, self->tail.size() - kTailBytes);
    if (!to_stderr) return;
    for (const char c : bytes) {
      if (c != '\n') self->line += c;
      if (c == '\n' || self->line.size() > kTailBytes) note(std::exchange(self->line, {}));
    }
  };
  settings.on_waiting = [weak] {
    const auto self = weak.lock();
    if (!self || !self->is_idle || self->is_frozen) return;
    self->is_frozen = true;
    self->environment->freeze(true);
  };
  settings.on_end = [function = shared_from_this(), weak] {
    if (const auto self = weak.lock()) {
      if (!self->line.empty()) function->note(std::exchange(self->line, {}));
      self->idle.cancel();
      std::erase(function->idle_, self);
      self->environment = nullptr;
      function->all_.erase(self);
    }
  };
}

std::shared_ptr<FunctionPool::Instance> FunctionPool::start_instance(fs::path log_file) {
  auto instance = std::make_shared<Instance>(host_.loop);
  const std::uint64_t number = ++host_.made;
  const bool is_zip = config_.code != nullptr;
  instance->code = config_.code;
  instance->revision = config_.revision;
  Function function;
  function.handler = config_.handler;
  function.executable = is_zip ? config_.code->path() / "bootstrap" : config_.executable;
  function.memory_mb = config_.memory_mb;
  function.environment = config_.variables;
  ExecutionEnvironment::Settings settings;
  settings.log_stream = fmt::format("environment-{}", number);
  const bool to_stderr = is_zip && host_.settings.log_folder.empty();
  if (!host_.settings.log_folder.empty()) {
    const fs::path folder = host_.settings.log_folder / config_.name;
    make_folder(folder);
    log_file = folder / (settings.log_stream + ".log");
  }
  settings.log_file = std::move(log_file);
  settings.inherited = host_.inherited;
  settings.descriptors = host_.descriptors;
  settings.limit_allocation = !is_zip;
  if (is_zip) {
    instance->scratch =
        std::make_unique<CodeFolder>(host_.folder / fmt::format("tmp-{}-{}", config_.name, number));
    settings.inherited["TMPDIR"] = instance->scratch->path().string();
    settings.function_name = config_.name;
    settings.function_arn = config_.arn;
    settings.folder = config_.code->path();
  }
  listen_to(instance, to_stderr, settings);
  instance->environment = ExecutionEnvironment::start(host_.loop, function, settings);
  all_.insert(instance);
  return instance;
}

void FunctionPool::run(const std::string& request_id, std::string payload, Done done) {
  std::shared_ptr<Instance> instance;
  try {
    instance = take_instance({});
  } catch (const std::exception& error) {
    if (code_of(error) == Code::resource_exhausted)
      throw ServiceError(500, "ServiceException", error.what());
    return done({Failure{std::string(kInvalidEntrypoint), error.what()}, {}, {}}, nullptr);
  }
  run_in(instance, request_id, std::move(payload), config_.timeout_s, std::move(done));
}

std::shared_ptr<ExecutionEnvironment> FunctionPool::run_here(
    const std::string& request_id, std::string payload, double timeout_s, const fs::path& log_file,
    std::function<void(const AttemptResult&)> done) {
  const std::shared_ptr<Instance> instance = take_instance(log_file);
  const std::shared_ptr<ExecutionEnvironment> environment = instance->environment;
  run_in(instance, request_id, std::move(payload), timeout_s,
         [done = std::move(done)](const AttemptResult& result, const Instance*) { done(result); });
  return environment;
}

void FunctionPool::run_in(const std::shared_ptr<Instance>& instance, const std::string& request_id,
                          std::string payload, double timeout_s, Done done) {
  const bool counts_for_all = !reserved;
  ++running_;
  if (counts_for_all) ++host_.running;
  instance->tail = fmt::format("START RequestId: {} Version: $LATEST\n", request_id);
  const auto start = time_now();
  const auto environment = instance->environment;
  environment->invoke(
      request_id, std::move(payload), timeout_s,
      [self = shared_from_this(), instance, environment, done = std::move(done), start, request_id,
       counts_for_all](const AttemptResult& result) {
        --self->running_;
        if (counts_for_all) --self->host_.running;
        const auto took = time_now() - start;
        const double ms = std::chrono::duration<double, std::milli>(took).count();
        ++self->ended_.invocations;
        self->ended_.errors += result.failure ? 1 : 0;
        self->ended_.busy_ns += static_cast<std::uint64_t>(
            std::chrono::duration_cast<std::chrono::nanoseconds>(took).count());
        if (!instance->tail.empty() && instance->tail.back() != '\n') instance->tail += '\n';
        if (result.failure && result.failure->type == kTimedOut)
          instance->tail += fmt::format("{} Task timed out after {}.00 seconds\n", request_id,
                                        self->config_.timeout_s);
        instance->tail += fmt::format(
            "END RequestId: {0}\nREPORT RequestId: {0}\tDuration: {1:.2f} ms\tBilled Duration: "
            "{2:.0f} ms\tMemory Size: {3} MB\tMax Memory Used: {4} MB\t\n",
            request_id, ms, std::ceil(ms), self->config_.memory_mb,
            environment->most_memory() >> 20);
        if (instance->tail.size() > kTailBytes)
          instance->tail.erase(0, instance->tail.size() - kTailBytes);
        done(result, instance.get());
        self->release(instance);
        if (self->host_.on_free) self->host_.on_free();
      });
}

FunctionPool::Numbers FunctionPool::numbers() const {
  Numbers out = ended_;
  out.environments = all_.size();
  out.running = static_cast<std::size_t>(running_);
  out.waiting = queue_.size();
  return out;
}

void FunctionPool::release(const std::shared_ptr<Instance>& instance) {
  if (!instance->environment) return;
  if (closed_ || instance->revision != config_.revision || !instance->environment->is_usable())
    return end(instance, !instance->environment->is_usable());
  instance->is_idle = true;
  idle_.push_back(instance);
  instance->idle.expires_after(in(host_.settings.idle_s));
  instance->idle.async_wait([self = shared_from_this(), instance](const auto& error) {
    if (!error && instance->is_idle) self->end(instance, false);
  });
}

void FunctionPool::end(const std::shared_ptr<Instance>& instance, bool now) {
  std::erase(idle_, instance);
  instance->is_idle = false;
  instance->idle.cancel();
  if (!instance->environment) return;
  if (now)
    instance->environment->kill();
  else
    instance->environment->shut_down();
}

void FunctionPool::invoke(const std::string& request_id, std::string payload, Answer answer) {
  if (!may_run())
    throw ServiceError(429, "TooManyRequestsException", "Rate Exceeded.",
                       reserved ? "ReservedFunctionConcurrentInvocationLimitExceeded"
                                : "ConcurrentInvocationLimitExceeded");
  run(request_id, std::move(payload),
      [answer = std::move(answer), request_id, timeout_s = config_.timeout_s](
          const AttemptResult& result, const Instance* instance) {
        InvokeAnswer out;
        out.is_error = result.failure.has_value();
        out.body =
            out.is_error ? error_body(*result.failure, request_id, timeout_s) : result.response;
        if (instance) out.log_tail = instance->tail;
        answer(std::move(out));
      });
}

void FunctionPool::enqueue(std::string request_id, std::string payload) {
  if (host_.settings.deliver_twice) queue_.push_back({request_id, payload, epoch_seconds(), 0});
  queue_.push_back({std::move(request_id), std::move(payload), epoch_seconds(), 0});
  dispatch_in(0);
}

bool FunctionPool::is_old(const Waiting& event) const {
  return epoch_seconds() - event.since > (events ? events->age_s : EventInvokeConfig{}.age_s);
}

void FunctionPool::dispatch_in(double seconds) {
  if (is_paused_ || closed_) return;
  is_paused_ = true;
  pause_.expires_after(in(seconds));
  pause_.async_wait([self = shared_from_this()](const auto& error) {
    self->is_paused_ = false;
    if (!error) self->dispatch();
  });
}

void FunctionPool::dispatch() {
  while (!closed_ && !queue_.empty() && is_active) {
    if (is_old(queue_.front())) {
      note(fmt::format("dropped the event {}: too old", queue_.front().request_id));
      queue_.pop_front();
      continue;
    }
    if (!may_run()) {
      // Only the end of an event makes room, but expired events must be dropped.
      return;
    }
    const bool is_cold = idle_.empty();
    if (is_cold && is_paused_) return;
    Waiting event = std::move(queue_.front());
    queue_.pop_front();
    begin(std::move(event));
    if (is_cold && !queue_.empty()) return dispatch_in(kStartPause);
  }
}

void FunctionPool::begin(Waiting event) {
  ++event.attempts;
  // Held by the callback and here: the payload is needed again if this attempt fails.
  const auto held = std::make_shared<Waiting>(std::move(event));
  try {
    run(held->request_id, held->payload,
        [self = shared_from_this(), held](const AttemptResult& result, const Instance*) {
          if (!result.failure || self->closed_) return;
          self->note(fmt::format("event {} failed, attempt {}: {}: {}", held->request_id,
                                 held->attempts, result.failure->type, result.failure->message));
          const int most = self->events ? self->events->retries : EventInvokeConfig{}.retries;
          if (held->attempts > most) return;
          const auto timer = std::make_shared<boost::asio::steady_timer>(self->host_.loop);
          self->retries_.insert(timer);
          timer->expires_after(
              in(retry_pause_s(self->host_.settings.retry_delay_s, held->attempts)));
          timer->async_wait([self, held, timer](const auto& error) {
            self->retries_.erase(timer);
            if (error || self->closed_) return;
            self->queue_.push_back(std::move(*held));
            self->dispatch_in(0);
          });
        });
  } catch (const ServiceError& error) {
    note(error.what());
    --held->attempts;
    queue_.push_front(std::move(*held));
    dispatch_in(kNoRoomPause);
  }
}

void FunctionPool::replace(FunctionConfig config) {
  config_ = std::move(config);
  for (const auto& instance : std::vector(idle_)) end(instance, false);
}

void FunctionPool::close(bool now) {
  closed_ = true;
  queue_.clear();
  pause_.cancel();
  for (const auto& timer : retries_) timer->cancel();
  for (const auto& instance : std::vector(all_.begin(), all_.end()))
    if (now || instance->is_idle) end(instance, now);
}

}  // namespace lambdaml::faas::sandbox
