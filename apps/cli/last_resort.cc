#include "apps/cli/last_resort.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>

#include <fmt/core.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "apps/cli/command.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/control/leftover.h"

namespace lambdaml::cli {
namespace {

constexpr double kGrace_s = 0.5;

}  // namespace

LastResort::LastResort() : over_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!over_) fail_errno(errno, "catching interrupts");
  catch_interrupts();
  // Signals are handled by the working threads, whose reads from a pipe or terminal they interrupt.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  watcher_ = std::thread([this] { watch(); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

LastResort::~LastResort() {
  const std::uint64_t one = 1;
  (void)!::write(over_.get(), &one, sizeof one);
  watcher_.join();
}

void LastResort::watch() const {
  std::array<pollfd, 2> watched{{{over_.get(), POLLIN, 0}, {interrupt_fd(), POLLIN, 0}}};
  while (watched[0].revents == 0 && watched[1].revents == 0)
    ::poll(watched.data(), watched.size(), -1);
  const Deadline end = interrupt_deadline().later_by(kTidying_s + kGrace_s);
  while (watched[0].revents == 0) {
    if (end.passed()) {
      const std::string left = control::leftovers();
      print_error(fmt::format("interrupted, and ended in the midst of its work{}{}",
                              left.empty() ? "" : "; ", left));
      ::_exit(kInterrupted);
    }
    ::poll(watched.data(), 1, static_cast<int>(end.seconds_left() * 1e3) + 1);
  }
}

}  // namespace lambdaml::cli
