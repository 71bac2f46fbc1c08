#pragma once

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <signal.h>
#include <stdlib.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/faas/testing/http_functions.h"
#include "lambdaml/faas/testing/test_function.h"

namespace lambdaml::faas::testing {

/// A folder that the destructor removes.
struct TempFolder : Scratch {
  TempFolder() : Scratch("lambdaml-faas-") {}
  std::string operator/(const std::string& name) const { return (path() / name).string(); }
};

inline std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Waits up to 20 s for `condition`.
template <class Condition>
bool eventually(Condition condition) {
  const Deadline deadline = Deadline::in(20);
  while (!condition()) {
    if (deadline.passed()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

/// A zombie, which may never be reaped in a container, counts as not running.
inline bool is_running(pid_t process) {
  const std::string stat = content_of("/proc/" + std::to_string(process) + "/stat");
  const std::size_t end = stat.rfind(')');
  return end != std::string::npos && stat.size() > end + 2 && stat[end + 2] != 'Z';
}

inline Function test_function(const std::string& handler = "worker") {
  Function function;
  function.handler = handler;
  function.executable = LAMBDAML_FAAS_TEST_FUNCTION;
  function.in_process = handle;
  function.timeout_s = 60;
  function.retry_delay_s = 0.001;
  return function;
}

/// With the platform's options as they are by default. The platform http gets eight functions on
/// this machine, which last as long as the test's process.
inline std::unique_ptr<Invoker> default_invoker(const std::string& platform) {
  const Plugin& plugin = registry().get(platform);
  Options options(plugin.options);
  if (platform == "http") {
    static const std::vector<HttpFunction> functions = [] {
      std::vector<HttpFunction> all;
      for (int i = 0; i < 8; ++i) all.emplace_back(LAMBDAML_FAAS_TEST_FUNCTION);
      return all;
    }();
    options.parse("url", urls_of(functions), "test");
  }
  return plugin.make(options);
}

/// Runs all events to their end and returns their status.
inline std::vector<EventStatus> run_all(const std::string& platform, const Function& function,
                                        std::vector<std::string> payloads,
                                        FailureObserver observer = {}) {
  const auto invoker = default_invoker(platform);
  const auto invocations = invoker->invoke_all(function, std::move(payloads), std::move(observer));
  if (!invocations->wait(60)) fail(Code::internal, "the events did not end in 60 s");
  return invocations->status();
}

}  // namespace lambdaml::faas::testing
