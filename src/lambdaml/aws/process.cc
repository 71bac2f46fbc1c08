#include "lambdaml/aws/process.h"

#include <array>
#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/text.h"
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

/// A pipe whose reading end does not block.
struct Pipe {
  explicit Pipe(std::string_view what) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail_errno(errno, fmt::format("running {}", what));
    from = FileDescriptor(ends[0]);
    to = FileDescriptor(ends[1]);
    ::fcntl(from.get(), F_SETFL, O_NONBLOCK);
  }
  /// Appends what is there to `text`; returns false at its end.
  bool take(std::string& text) const {
    std::array<char, 4096> part{};
    while (true) {
      const ssize_t got = ::read(from.get(), part.data(), part.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return errno == EAGAIN;
      if (got == 0) return false;
      text.append(part.data(), static_cast<std::size_t>(got));
      if (text.size() > kMostOutput) return true;
    }
  }
  FileDescriptor from, to;
};

/// A process that runs `command`; it leads a process group.
pid_t start(const std::string& command, const Pipe& output, const Pipe& errors,
            std::string_view what) {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_adddup2(&files, output.to.get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&files, errors.to.get(), STDERR_FILENO);
  ::posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  std::array<const char*, 4> words = {"sh", "-c", command.c_str(), nullptr};
  pid_t id = 0;
  const int failure = ::posix_spawn(&id, "/bin/sh", &files, &attributes,
                                    const_cast<char* const*>(words.data()), environ);
  ::posix_spawn_file_actions_destroy(&files);
  ::posix_spawnattr_destroy(&attributes);
  if (failure != 0) fail_errno(failure, fmt::format("running {}", what));
  return id;
}

/// ": its last line" of what a process wrote to stderr.
std::string reason_in(const std::string& errors) {
  constexpr std::size_t kMostShown = 300;
  const std::vector<std::string> lines = split(trim(errors), '\n');
  const std::string line = lines.empty() ? "" : printable(trim(lines.back()), kMostShown);
  return line.empty() ? "" : ": " + line;
}

}  // namespace

std::string output_of(const std::string& command, double timeout_s, std::string_view what) {
  Pipe output(what);
  Pipe errors(what);
  Child child(start(command, output, errors, what));
  output.to.reset();
  errors.to.reset();
  const FileDescriptor both(::epoll_create1(EPOLL_CLOEXEC));
  for (const Pipe* pipe : {&output, &errors}) {
    epoll_event event{.events = EPOLLIN, .data = {}};
    if (::epoll_ctl(both.get(), EPOLL_CTL_ADD, pipe->from.get(), &event) != 0)
      fail_errno(errno, fmt::format("running {}", what));
  }

  const Deadline deadline = Deadline::in(timeout_s);
  std::string text;
  std::string reason;
  const auto take_errors = [&] {
    if (!errors.take(reason)) ::epoll_ctl(both.get(), EPOLL_CTL_DEL, errors.from.get(), nullptr);
    // Only its end is shown.
    if (reason.size() > kMostOutput) reason.erase(0, reason.size() - kMostOutput / 2);
  };
  bool ended = false;
  while (!ended && text.size() <= kMostOutput) {
    if (!wait_until_ready(both.get(), POLLIN, deadline)) break;
    take_errors();
    ended = !output.take(text);
  }
  // The process may close its output and still run.
  while (ended && !child.has_ended()) {
    ended = !deadline.passed();
    take_errors();
    pause_for(0.001);
  }
  take_errors();
  if (!ended)
    fail(Code::permission_denied, "{}: {}", what,
         text.size() > kMostOutput
             ? "it says too much"
             : fmt::format("it did not end within {:.3g} s{}", timeout_s, reason_in(reason)));
  const int status = child.status();
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    fail(Code::permission_denied, "{}: it failed ({} {}){}", what,
         WIFEXITED(status) ? "exit code" : "signal",
         WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), reason_in(reason));
  return text;
}

}  // namespace lambdaml::aws
