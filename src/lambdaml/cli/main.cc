#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/memory.h"
#include "lambdaml/cli/command.h"

int main(int argc, char** argv) {
  lambdaml::catch_interrupts();
  lambdaml::keep_freed_memory();
  return lambdaml::cli::run(argc, argv);
}
