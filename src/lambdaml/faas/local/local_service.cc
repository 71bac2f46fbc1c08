#include "lambdaml/faas/local/local_service.h"

#include <limits>
#include <mutex>
#include <system_error>
#include <vector>

#include <boost/asio/post.hpp>
#include <signal.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/faas/local/local_invocations.h"

namespace lambdaml::faas::local {
namespace {

/// A thread with all signals blocked: they are left to the host program.
template <class Body>
std::thread start_quiet_thread(Body body) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    std::thread thread(std::move(body));
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return thread;
  } catch (const std::system_error& error) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    fail(Code::resource_exhausted, "cannot start the invoker's thread: {}", error.what());
  }
}

EmulatorSettings settings() {
  EmulatorSettings out;
  out.concurrency = std::numeric_limits<int>::max();
  return out;
}

}  // namespace

std::shared_ptr<LocalService> LocalService::shared() {
  static std::mutex mutex;
  static std::weak_ptr<LocalService> current;
  const std::lock_guard lock(mutex);
  std::shared_ptr<LocalService> service = current.lock();
  if (!service) current = service = std::shared_ptr<LocalService>(new LocalService());
  return service;
}

LocalService::LocalService()
    : work_(loop_.get_executor()),
      host_{.loop = loop_,
            .settings = settings(),
            .inherited = sandbox::inherited_variables(),
            .descriptors = sandbox::reserve_descriptors(0),
            .folder = {}} {
  thread_ = start_quiet_thread([this] { run_loop(); });
}

LocalService::~LocalService() {
  boost::asio::post(loop_, [this] {
    for (const auto& [what, function] : functions_) function->close(true);
    work_.reset();
  });
  thread_.join();
}

sandbox::FunctionPool& LocalService::function(const Function& function) {
  const int memory_mb = function.memory_mb > 0 ? function.memory_mb : kUsualMemory_mb;
  std::vector<std::string> what{function.executable.string(), function.handler,
                                std::to_string(memory_mb)};
  for (const auto& [name, value] : function.environment) what.push_back(name + "=" + value);
  std::shared_ptr<sandbox::FunctionPool>& deployed = functions_[json_text(nlohmann::json(what))];
  if (!deployed) {
    sandbox::FunctionConfig config;
    config.name = config.handler = function.handler;
    config.executable = function.executable;
    config.memory_mb = memory_mb;
    config.variables = function.environment;
    deployed = std::make_shared<sandbox::FunctionPool>(host_, std::move(config));
  }
  return *deployed;
}

/// An exception in a handler of the loop (e.g. out of memory) ends the events, not the program.
void LocalService::run_loop() {
  while (true) {
    try {
      loop_.run();
      return;
    } catch (...) {
      const Failure why = current_failure();
      for (LocalInvocations* invocations : std::set(invocations_)) invocations->kill_all(why);
    }
  }
}

}  // namespace lambdaml::faas::local
