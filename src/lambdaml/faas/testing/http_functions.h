#pragma once

#include <csignal>
#include <cstdint>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/text.h"

namespace lambdaml::faas::testing {

/// A port of 127.0.0.1 that no other program gets while this exists, and at which functions can
/// listen one after another: a bound socket that does not listen itself.
class ReservedPort {
 public:
  ReservedPort() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const int yes = 1;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    // Servers may share it because they set the same option.
    if (setsockopt(socket_.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0 ||
        bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
      fail_errno(errno, "reserving a port");
    port_ = ntohs(address.sin_port);
  }
  std::uint16_t port() const { return port_; }

 private:
  FileDescriptor socket_;
  std::uint16_t port_ = 0;
};

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
    // A full pipe would stop it.
    reader_ = std::thread([log = std::move(log_)] {
      char part[4096];
      while (read(log.get(), part, sizeof(part)) > 0) {
      }
    });
  }
  HttpFunction(HttpFunction&& other) noexcept
      : process_(std::exchange(other.process_, 0)),
        port_(other.port_),
        reader_(std::move(other.reader_)) {}
  ~HttpFunction() {
    if (process_ != 0) {
      ::kill(process_, SIGKILL);
      wait();
    }
    if (reader_.joinable()) reader_.join();
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
  FileDescriptor log_;  ///< until it listens
  std::thread reader_;  ///< of its log afterwards, to its end
};

/// Their addresses, as --url takes them.
inline std::string urls_of(const std::vector<HttpFunction>& functions) {
  std::vector<std::string> urls;
  for (const HttpFunction& function : functions) urls.push_back(function.url());
  return join(urls, ",");
}

}  // namespace lambdaml::faas::testing
