#pragma once

#include <csignal>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/text.h"

namespace lambdaml::faas::testing {

/// A function executable that listens on a port of 127.0.0.1, as the platform http expects it.
/// Destruction kills it.
class HttpFunction {
 public:
  /// `port` 0: a free one.
  explicit HttpFunction(const std::filesystem::path& executable,
                        std::vector<std::string> variables = {}, std::uint16_t port = 0) {
    variables.push_back("PORT=" + std::to_string(port));
    variables.push_back("LAMBDAML_HTTP_HOST=127.0.0.1");
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) fail(Code::internal, "no pipe");
    log_ = FileDescriptor(ends[0]);
    const FileDescriptor write_end(ends[1]);
    const pid_t parent = getpid();
    process_ = fork();
    if (process_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(1);
      for (const std::string& variable : variables) {
        const std::size_t equals = variable.find('=');
        setenv(variable.substr(0, equals).c_str(), variable.c_str() + equals + 1, 1);
      }
      unsetenv("AWS_LAMBDA_RUNTIME_API");
      dup2(write_end.get(), 2);
      execl(executable.c_str(), executable.c_str(), nullptr);
      _exit(127);
    }
    await_port();
  }
  HttpFunction(HttpFunction&& other) noexcept
      : process_(std::exchange(other.process_, 0)),
        port_(other.port_),
        log_(std::move(other.log_)) {}
  ~HttpFunction() {
    if (process_ == 0) return;
    ::kill(process_, SIGKILL);
    wait();
  }

  std::string url() const { return fmt::format("http://127.0.0.1:{}", port_); }
  std::uint16_t port() const { return port_; }
  pid_t process() const { return process_; }
  void send(int signal) const { ::kill(process_, signal); }
  /// Waits for its end and returns its exit code, or 128 and the signal.
  int wait() {
    int status = 0;
    waitpid(std::exchange(process_, 0), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  /// Its log says where it listens.
  void await_port() {
    static constexpr std::string_view kMark = "listening on 127.0.0.1:";
    const Deadline deadline = Deadline::in(60);
    std::string text;
    while (!deadline.passed()) {
      pollfd ready{log_.get(), POLLIN, 0};
      if (poll(&ready, 1, 1000) <= 0) continue;
      char part[4096];
      const ssize_t n = read(log_.get(), part, sizeof(part));
      if (n <= 0) break;
      text.append(part, static_cast<std::size_t>(n));
      const std::size_t at = text.find(kMark);
      if (at == std::string::npos || text.find('\n', at) == std::string::npos) continue;
      port_ = static_cast<std::uint16_t>(std::stoi(text.substr(at + kMark.size())));
      return;
    }
    fail(Code::internal, "the function does not listen: {}", text);
  }

  pid_t process_ = 0;
  std::uint16_t port_ = 0;
  FileDescriptor log_;
};

/// Their addresses, as --url takes them.
inline std::string urls_of(const std::vector<HttpFunction>& functions) {
  std::vector<std::string> urls;
  for (const HttpFunction& function : functions) urls.push_back(function.url());
  return join(urls, ",");
}

}  // namespace lambdaml::faas::testing
