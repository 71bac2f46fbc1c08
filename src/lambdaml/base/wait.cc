#include "lambdaml/base/wait.h"

#include <array>
#include <cerrno>
#include <cmath>
#include <ctime>

#include <poll.h>

#include "lambdaml/base/error.h"

namespace lambdaml {
namespace {

/// Polls the interrupt descriptor and, if given, `fd`; returns whether `fd` is ready.
bool poll_until(int fd, short events, Deadline deadline) {
  while (true) {
    throw_if_interrupted();
    std::array<pollfd, 2> watched{{{fd, events, 0}, {interrupt_fd(), POLLIN, 0}}};
    const double left_s = std::min(deadline.earlier(interrupt_deadline()).seconds_left(), 1e6);
    timespec left{};
    left.tv_sec = static_cast<std::time_t>(left_s);
    left.tv_nsec = static_cast<long>((left_s - std::floor(left_s)) * 1e9);
    const int ready = ::ppoll(watched.data(), watched.size(), &left, nullptr);
    if (ready < 0 && errno != EINTR) fail_errno(errno, "waiting");
    if (ready > 0 && watched[0].revents != 0) return true;
    if (ready == 0 && deadline.passed()) {
      throw_if_interrupted();
      return false;
    }
  }
}

}  // namespace

void sleep_until(Deadline deadline) {
  Clock* const clock = replaced_clock();
  if (clock == nullptr) {
    poll_until(-1, 0, deadline);
    return;
  }
  throw_if_interrupted();
  clock->sleep_until(deadline.earlier(interrupt_deadline()).time());
  throw_if_interrupted();
}

void wait_for_interrupt() {
  // Within a Tidying the wait above would throw.
  while (!interrupted()) {
    pollfd watched{interrupt_fd(), POLLIN, 0};
    if (::poll(&watched, 1, -1) < 0 && errno != EINTR) fail_errno(errno, "waiting");
  }
}

bool wait_until_ready(int fd, short events, Deadline deadline) {
  return poll_until(fd, events, deadline);
}

}  // namespace lambdaml
