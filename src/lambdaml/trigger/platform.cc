#include "lambdaml/trigger/platform.h"

#include <cstdlib>
#include <filesystem>

#include "lambdaml/base/environment.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/programs/own_file.h"
#include "lambdaml/faas/failure.h"

namespace lambdaml::trigger {
namespace {

namespace fs = std::filesystem;

const faas::Plugin& choose(const std::string& name, const storage::Storage& channel) {
  const faas::Plugin& wanted = faas::registry().get(name);
  if (!wanted.separate_processes || channel.capabilities().cross_process) return wanted;
  for (const faas::Plugin& plugin : faas::registry().entries())
    if (!plugin.separate_processes) return plugin;
  fail(Code::invalid_argument,
       "channel {}: workers are processes of their own and cannot meet there; use file",
       channel.describe());
}

[[noreturn]] void fail_for(std::size_t worker, const faas::EventStatus& status) {
  std::string text = status.error_message;
  const Code code = code_from_string(status.error_type);
  const bool own_fault = code != Code::internal && code != Code::deadline_exceeded;
  if (own_fault) throw Error(code, text);
  text = fmt::format("worker {} was lost after {} {}: {}", worker, status.attempts,
                     status.attempts == 1 ? "attempt" : "attempts", text);
  // If the process died, the message already says so.
  if (!status.last_log_lines.empty() && !text.ends_with(status.last_log_lines.back()))
    text += fmt::format("; its last line: {}", status.last_log_lines.back());
  throw Error(Code::workers_lost, text);
}

}  // namespace

fs::path worker_executable() {
  if (const std::optional<std::string> path = environment_variable("LAMBDAML_WORKER")) return *path;
  return own_file("lambdaml-worker");
}

Platform::Platform(const std::string& name, const Options& job, const storage::Storage& channel)
    : plugin_(choose(name, channel)), invoker_(plugin_.make(faas::own_options(plugin_, job))) {}

bool Platform::has_threads(const std::string& name, const storage::Storage& channel) {
  return !choose(name, channel).separate_processes;
}

faas::Function Platform::function() const {
  faas::Function function;
  function.handler = "worker";
  if (plugin_.separate_processes) function.executable = worker_executable();
  return function;
}

faas::Function Platform::function_for(const Options& job) const {
  faas::Function function = this->function();
  function.memory_mb = static_cast<int>(job.integer("memory_mb"));
  function.timeout_s = job.real("timeout_s");
  function.retries = static_cast<int>(job.integer("retries"));
  function.environment["LAMBDAML_LOG_LEVEL"] = job.text("log_level");
  return function;
}

std::unique_ptr<faas::Invocations> Platform::invoke_all(const faas::Function& function,
                                                        std::vector<std::string> payloads,
                                                        faas::FailureObserver observer) const {
  if (function.all_at_once && !plugin_.starts_all_at_once && payloads.size() > 1)
    fail(Code::invalid_argument,
         "the platform {} queues functions, and the workers of this job wait for each other: use "
         "--sync-mode async",
         plugin_.name);
  return invoker_->invoke_all(function, std::move(payloads), std::move(observer));
}

std::vector<std::string> wait_for_all(faas::Invocations& invocations,
                                      const std::function<void()>& tick) {
  using State = faas::EventStatus::State;
  constexpr double kTickSeconds = 0.05;
  while (!invocations.wait(kTickSeconds)) {
    throw_if_interrupted();
    if (tick) tick();
  }
  throw_if_interrupted();
  const std::vector<faas::EventStatus> all = invocations.status();
  std::vector<std::string> responses;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].state == State::failed) {
      invocations.cancel();
      fail_for(i, all[i]);
    }
    responses.push_back(all[i].response);
  }
  return responses;
}

std::vector<std::uint32_t> workers_at_work(const std::vector<faas::EventStatus>& events) {
  using State = faas::EventStatus::State;
  std::vector<std::uint32_t> out;
  for (std::uint32_t worker = 0; worker < events.size(); ++worker)
    if (events[worker].may_still_run ||
        (events[worker].state != State::succeeded && events[worker].state != State::failed))
      out.push_back(worker);
  return out;
}

}  // namespace lambdaml::trigger
