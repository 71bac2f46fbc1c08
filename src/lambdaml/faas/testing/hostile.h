#pragma once

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"

/// For tests: clients that do what no AWS client does.
namespace lambdaml::faas::testing {

inline constexpr uid_t kNobody = 65534;

/// A connection to a port of 127.0.0.1 that can send arbitrary bytes.
class RawConnection {
 public:
  explicit RawConnection(std::uint16_t port, std::string_view bytes = {}, bool by_ipv6 = false)
      : socket_(::socket(by_ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    v6.sin6_addr.s6_addr[10] = v6.sin6_addr.s6_addr[11] = 0xff;
    std::memcpy(&v6.sin6_addr.s6_addr[12], &v4.sin_addr.s_addr, 4);
    const auto* address =
        by_ipv6 ? reinterpret_cast<const sockaddr*>(&v6) : reinterpret_cast<const sockaddr*>(&v4);
    is_connected_ =
        socket_ && connect(socket_.get(), address, by_ipv6 ? sizeof(v6) : sizeof(v4)) == 0;
    if (is_connected_) send(bytes);
  }

  bool is_connected() const { return is_connected_; }
  /// The connection's own port.
  std::uint16_t port() const {
    sockaddr_in own{};
    socklen_t size = sizeof(own);
    getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&own), &size);
    return ntohs(own.sin_port);
  }

  /// False if the other side has closed, or does not read for ten seconds.
  bool send(std::string_view bytes) {
    const Deadline deadline = Deadline::in(10);
    while (!bytes.empty()) {
      const ssize_t n =
          ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0 && errno == EAGAIN) {
        if (deadline.passed()) return false;
        pollfd ready{socket_.get(), POLLOUT, 0};
        poll(&ready, 1, 100);
        continue;
      }
      if (n < 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }

  /// Receives until there are `enough` bytes, the other side closes (then closed() is true), or the
  /// time is over.
  std::string receive(double seconds, std::size_t enough = SIZE_MAX) {
    std::string out;
    const Deadline deadline = Deadline::in(seconds);
    while (out.size() < enough && !closed_ && !deadline.passed()) {
      pollfd ready{socket_.get(), POLLIN, 0};
      poll(&ready, 1, static_cast<int>(1000 * std::min(deadline.seconds_left(), 1.0)) + 1);
      char part[65536];
      const ssize_t n = recv(socket_.get(), part, sizeof(part), MSG_DONTWAIT);
      if (n > 0) out.append(part, static_cast<std::size_t>(n));
      if (n == 0 || (n < 0 && errno != EAGAIN)) closed_ = true;
    }
    return out;
  }
  bool closed() const { return closed_; }
  /// The status, e.g. "200", or "" if the connection was closed without a reply or the time is
  /// over.
  std::string status(double seconds = 20) {
    const std::string head = receive(seconds, 12);
    return head.starts_with("HTTP/1.1 ") && head.size() >= 12 ? head.substr(9, 3) : "";
  }
  /// Whether the other side closes within that time.
  bool closes(double seconds) {
    receive(seconds);
    return closed_;
  }
  void close() { socket_.reset(); }
  int get() const { return socket_.get(); }

 private:
  FileDescriptor socket_;
  bool is_connected_ = false;
  bool closed_ = false;
};

/// Runs `body` in a process of the user `nobody`, which requires root; returns its result.
inline int as_nobody(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    if (setgroups(0, nullptr) != 0 || setresgid(kNobody, kNobody, kNobody) != 0 ||
        setresuid(kNobody, kNobody, kNobody) != 0)
      _exit(126);
    _exit(body());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace lambdaml::faas::testing
