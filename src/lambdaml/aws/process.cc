#include "lambdaml/aws/process.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <thread>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"

extern char** environ;

namespace lambdaml::aws {
namespace {

constexpr std::size_t kMostOutput = 64U << 10U;

}  // namespace

std::string output_of(const std::string& command, double timeout_s, std::string_view what) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail_errno(errno, fmt::format("running {}", what));
  const FileDescriptor from(ends[0]);
  FileDescriptor to(ends[1]);

  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_adddup2(&files, to.get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  std::array<const char*, 4> words = {"sh", "-c", command.c_str(), nullptr};
  pid_t child = 0;
  const int failure = ::posix_spawn(&child, "/bin/sh", &files, &attributes,
                                    const_cast<char* const*>(words.data()), environ);
  ::posix_spawn_file_actions_destroy(&files);
  ::posix_spawnattr_destroy(&attributes);
  if (failure != 0) fail_errno(failure, fmt::format("running {}", what));
  to.reset();

  const Deadline deadline = Deadline::in(timeout_s);
  std::string output;
  bool ended = false;
  while (!ended && output.size() <= kMostOutput) {
    pollfd ready{from.get(), POLLIN, 0};
    const int n = ::poll(&ready, 1, static_cast<int>(std::ceil(deadline.seconds_left() * 1000)));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    std::array<char, 4096> part{};
    const ssize_t got = ::read(from.get(), part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    ended = got <= 0;
    if (got > 0) output.append(part.data(), static_cast<std::size_t>(got));
  }
  // It may close its output and still go on.
  int status = 0;
  while (ended && ::waitpid(child, &status, WNOHANG) == 0) {
    ended = !deadline.passed();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  if (!ended) {
    ::kill(-child, SIGKILL);
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
  }
  if (!ended)
    fail(Code::permission_denied, "{}: {}", what,
         output.size() > kMostOutput ? "it says too much"
                                     : fmt::format("it did not end within {:.3g} s", timeout_s));
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    fail(Code::permission_denied, "{}: it failed ({} {})", what,
         WIFEXITED(status) ? "exit code" : "signal",
         WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
  return output;
}

}  // namespace lambdaml::aws
