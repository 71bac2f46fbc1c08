#include <csignal>

#include "apps/cli/run.h"
#include "lambdaml/base/memory.h"
#include "lambdaml/base/programs/standard_streams.h"
#include "lambdaml/worker/worker.h"

int main(int argc, char** argv) {
  lambdaml::open_standard_streams();
  // Ignored, so that the write that fails reports an error.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  lambdaml::keep_freed_memory();
  // For jobs whose workers are threads of this process.
  lambdaml::worker::register_handler();
  return lambdaml::cli::run(argc, argv);
}
