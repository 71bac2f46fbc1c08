#include <csignal>

#include "lambdaml/base/memory.h"
#include "lambdaml/cli/run.h"

int main(int argc, char** argv) {
  // Told by the write that meets them, as errors.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  lambdaml::keep_freed_memory();
  return lambdaml::cli::run(argc, argv);
}
