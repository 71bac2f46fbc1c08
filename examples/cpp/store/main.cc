// Trains over a store of its own (sqlite_store.cc):
//
//   train_over_sqlite DATABASE      an absolute path
//
// A store must be known to whoever opens it, so this program is its own worker: where the platform
// starts it for an event, it serves that, and otherwise it trains.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

#include "lambdaml/data/synthetic.h"
#include "lambdaml/faas/runtime.h"
#include "lambdaml/job/given.h"
#include "lambdaml/job/options.h"
#include "lambdaml/trigger/trigger.h"
#include "lambdaml/worker/worker.h"

int main(int argc, char** argv) {
  using namespace lambdaml;
  try {
    if (const char* host = std::getenv("AWS_LAMBDA_RUNTIME_API")) {
      faas::serve(host, worker::handle_worker_event);
      return 0;
    }
    if (argc != 2) {
      std::fprintf(stderr, "as: train_over_sqlite DATABASE\n");
      return 2;
    }
    const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe");
    setenv("LAMBDAML_WORKER", self.c_str(), 1);

    job::Given given{.typed = job::job_options()};
    const auto set = [&](const char* name, const std::string& value) {
      given.typed.parse(name, value, name);
    };
    set("data", "generated");
    set("workers", "3");
    set("epochs", "5");
    set("channel", std::string("sqlite://jobs?file=") + argv[1]);
    trigger::InMemory memory;
    memory.data = data::synthesize({.kind = "higgs", .rows = 20'000});
    trigger::Observer silent;
    const nlohmann::ordered_json summary = trigger::train(job::options_of(given), silent, memory);
    std::printf("%s\n", summary.dump().c_str());
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "train_over_sqlite: %s\n", error.what());
    return 1;
  }
}
