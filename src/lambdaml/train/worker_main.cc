// The function executable: serves events from the Lambda Runtime API, on AWS (where it is called
// `bootstrap`) and on this machine alike.
#include <csignal>
#include <cstdlib>
#include <exception>

#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/memory.h"
#include "lambdaml/faas/runtime.h"
#include "lambdaml/train/trigger_function.h"
#include "lambdaml/train/worker.h"

int main() {
  using namespace lambdaml;
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  keep_freed_memory();
  const char* level = std::getenv("LAMBDAML_LOG_LEVEL");
  const char* endpoint = std::getenv("AWS_LAMBDA_RUNTIME_API");
  try {
    log::configure(level == nullptr ? log::Level::info : log::parse_level(level),
                   log::Format::json);
    if (endpoint == nullptr)
      fail(Code::invalid_argument,
           "AWS_LAMBDA_RUNTIME_API is not set: this program is started by a function host; on a "
           "machine of your own use lambdaml train");
    const char* named = std::getenv("_HANDLER");
    const std::string_view handler = named == nullptr ? "worker" : named;
    if (handler == "worker")
      faas::serve(endpoint, train::handle_worker_event);
    else if (handler == "trigger")
      faas::serve(endpoint, train::handle_trigger_event);
    else
      fail(Code::invalid_argument, "_HANDLER '{}': the handlers here are 'worker' and 'trigger'",
           handler);
    return 0;
  } catch (const std::exception& error) {
    log::error("{}", error.what());
    if (endpoint != nullptr) faas::report_init_error(endpoint, error);
    return 1;
  }
}
