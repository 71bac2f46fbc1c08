#include "lambdaml/base/interrupt.h"

#include <csignal>

#include "lambdaml/base/error.h"

namespace lambdaml {
namespace {

volatile std::sig_atomic_t g_interrupted = 0;

void on_signal(int) { g_interrupted = 1; }

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaction(signal, &action, nullptr);
}

bool interrupted() noexcept { return g_interrupted != 0; }

void throw_if_interrupted() {
  if (interrupted()) fail(Code::cancelled, "interrupted");
}

}  // namespace lambdaml
