#include "lambdaml/aws/process.h"

#include <array>
#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/wait.h"

extern char** environ;

namespace lambdaml::aws {
namespace {

constexpr std::size_t kMostOutput = 64U << 10U;

/// A process that leads a process group; the destructor kills the whole group.
class Child {
 public:
  explicit Child(pid_t id) : id_(id) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (ended_) return;
    ::kill(-id_, SIGKILL);
    while (::waitpid(id_, &status_, 0) < 0 && errno == EINTR) {
    }
  }
  bool has_ended() {
    if (!ended_) ended_ = ::waitpid(id_, &status_, WNOHANG) != 0;
    return ended_;
  }
  int status() const { return status_; }

 private:
  pid_t id_;
  int status_ = 0;
  bool ended_ = false;
};

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
  pid_t id = 0;
  const int failure = ::posix_spawn(&id, "/bin/sh", &files, &attributes,
                                    const_cast<char* const*>(words.data()), environ);
  ::posix_spawn_file_actions_destroy(&files);
  ::posix_spawnattr_destroy(&attributes);
  if (failure != 0) fail_errno(failure, fmt::format("running {}", what));
  to.reset();
  Child child(id);

  const Deadline deadline = Deadline::in(timeout_s);
  std::string output;
  bool ended = false;
  while (!ended && output.size() <= kMostOutput) {
    if (!wait_until_ready(from.get(), POLLIN, deadline)) break;
    std::array<char, 4096> part{};
    const ssize_t got = ::read(from.get(), part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    ended = got <= 0;
    if (got > 0) output.append(part.data(), static_cast<std::size_t>(got));
  }
  // The process may close its output and still run.
  while (ended && !child.has_ended()) {
    ended = !deadline.passed();
    pause_for(0.001);
  }
  if (!ended)
    fail(Code::permission_denied, "{}: {}", what,
         output.size() > kMostOutput ? "it says too much"
                                     : fmt::format("it did not end within {:.3g} s", timeout_s));
  const int status = child.status();
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    fail(Code::permission_denied, "{}: it failed ({} {})", what,
         WIFEXITED(status) ? "exit code" : "signal",
         WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
  return output;
}

}  // namespace lambdaml::aws
