// The function executable: serves events from the Lambda Runtime API, both on AWS (where it is
// called `bootstrap`) and on this machine, or those of another platform whose host has started it.
#include <csignal>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/environment.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/memory.h"
#include "lambdaml/base/programs/standard_streams.h"
#include "lambdaml/base/service/answers.h"
#include "lambdaml/base/text.h"
#include "lambdaml/faas/handlers.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/faas/runtime.h"
#include "lambdaml/predict/predict_function.h"
#include "lambdaml/trigger/engine_process.h"
#include "lambdaml/trigger/trigger_function.h"
#include "lambdaml/tune/tuner_function.h"
#include "lambdaml/worker/worker.h"

namespace {

std::string names_of_handlers() {
  std::vector<std::string> names;
  for (const auto& [name, handler] : lambdaml::faas::handlers()) names.push_back(name);
  return lambdaml::join(names, ", ");
}

}  // namespace

int main(int argc, char** argv) {
  using namespace lambdaml;
  if (argc == 2 && std::string_view(argv[1]) == "--version") {
    std::puts("lambdaml-worker " LAMBDAML_VERSION);
    return 0;
  }
  open_standard_streams();
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  keep_freed_memory();
  set_repeats_answers(false);
  const std::optional<std::string> level = environment_variable("LAMBDAML_LOG_LEVEL");
  const std::optional<std::string> endpoint = environment_variable("AWS_LAMBDA_RUNTIME_API");
  try {
    log::configure(level ? log::parse_level(*level) : log::Level::info, log::Format::json);
    const faas::Plugin* platform = endpoint ? nullptr : faas::platform_of_this_process();
    if (!endpoint && platform == nullptr)
      fail(Code::invalid_argument,
           "no function host has started this program: it sets AWS_LAMBDA_RUNTIME_API, PORT, or "
           "LAMBDAML_TASK_INDEX or another number of an array's task; on a machine of your own use "
           "lambdaml train");
    // The command of a container image names the handler.
    const std::string handler =
        argc > 1 ? argv[1] : environment_variable("_HANDLER").value_or("worker");
    worker::register_handler();
    faas::handlers()["trigger"] = trigger::handle_trigger_event;
    faas::handlers()[trigger::kEngineHandler] = trigger::handle_engine_event;
    faas::handlers()["tuner"] = tune::handle_tuner_event;
    faas::handlers()["predict"] = predict::handle_predict_event;
    const auto found = faas::handlers().find(handler);
    if (found == faas::handlers().end())
      fail(Code::invalid_argument, "handler '{}': the handlers here are {}", printable(handler),
           names_of_handlers());
    if (platform != nullptr) return platform->serve(found->second);
    faas::serve(*endpoint, found->second);
    return 0;
  } catch (const std::exception& error) {
    log::error("{}", error.what());
    if (endpoint) faas::report_init_error(*endpoint, error);
    return 1;
  }
}
