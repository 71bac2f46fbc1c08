#include "lambdaml/base/programs/command.h"

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

namespace lambdaml {
namespace {

/// How much of its standard error is kept.
constexpr std::size_t kMostErrors = 64U << 10U;

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
  /// Appends what is there to `text`, until it is longer than `most`; returns false at its end.
  bool take(std::string& text, std::size_t most) const {
    std::array<char, 4096> part{};
    while (true) {
      const ssize_t got = ::read(from.get(), part.data(), part.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return errno == EAGAIN;
      if (got == 0) return false;
      text.append(part.data(), static_cast<std::size_t>(got));
      if (text.size() > most) return true;
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

std::string last_line(const std::string& text) {
  constexpr std::size_t kMostShown = 300;
  const std::vector<std::string> lines = split(trim(text), '\n');
  return lines.empty() ? "" : printable(trim(lines.back()), kMostShown);
}

/// What a running process prints.
class Printed {
 public:
  Printed(Pipe& output, Pipe& errors, std::size_t most_bytes, const std::string& what)
      : output_(output),
        errors_(errors),
        most_bytes_(most_bytes),
        either_(::epoll_create1(EPOLL_CLOEXEC)) {
    for (Pipe* pipe : {&output, &errors}) {
      pipe->to.reset();
      epoll_event event{.events = EPOLLIN, .data = {}};
      if (::epoll_ctl(either_.get(), EPOLL_CTL_ADD, pipe->from.get(), &event) != 0)
        fail_errno(errno, fmt::format("running {}", what));
    }
  }
  /// Waits for something; returns false at the deadline.
  bool wait(Deadline deadline) const { return wait_until_ready(either_.get(), POLLIN, deadline); }
  /// Returns false once the output has ended.
  bool take() {
    take_errors();
    return output_.take(text, most_bytes_);
  }
  void take_errors() {
    if (!errors_.take(errors_text_, kMostErrors))
      ::epoll_ctl(either_.get(), EPOLL_CTL_DEL, errors_.from.get(), nullptr);
    // Only its end is shown.
    if (errors_text_.size() > kMostErrors)
      errors_text_.erase(0, errors_text_.size() - kMostErrors / 2);
  }
  std::string reason() const { return last_line(errors_text_); }

  std::string text;

 private:
  Pipe& output_;
  Pipe& errors_;
  std::size_t most_bytes_;
  FileDescriptor either_;
  std::string errors_text_;
};

}  // namespace

CommandResult run_command(const std::string& command, double timeout_s, std::size_t most_bytes,
                          const std::string& what) {
  Pipe output(what);
  Pipe errors(what);
  Child child(start(command, output, errors, what));
  Printed printed(output, errors, most_bytes, what);
  const Deadline deadline = Deadline::in(timeout_s);
  using End = CommandResult::End;
  const auto result = [&](End end, int number = 0) {
    printed.take_errors();
    return CommandResult{end, number, std::move(printed.text), printed.reason()};
  };
  for (bool more = true; more;) {
    if (!printed.wait(deadline)) return result(End::timed_out);
    more = printed.take();
    if (printed.text.size() > most_bytes) return result(End::cut_off);
  }
  // The process may close its output and still run.
  while (!child.has_ended()) {
    if (deadline.passed()) return result(End::timed_out);
    printed.take_errors();
    pause_for(0.001);
  }
  const int status = child.status();
  return WIFEXITED(status) ? result(End::exited, WEXITSTATUS(status))
                           : result(End::killed, WTERMSIG(status));
}

std::string quoted_for_shell(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace lambdaml
