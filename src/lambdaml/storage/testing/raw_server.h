#pragma once

#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <list>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lambdaml/base/testing/listener.h"

namespace lambdaml::storage {

/// For tests: a server that sends what it is told to.
class RawServer {
 public:
  /// What it says to a request; each connection's thread calls it.
  using Answer = std::function<std::string(std::string_view request)>;

  /// Hears nothing: whoever connects is sent `first`, and then `forever` again and again.
  explicit RawServer(std::string first, std::string forever = {})
      : first_(std::move(first)), forever_(std::move(forever)) {
    listen();
  }
  /// A request is what comes together: what a client sends by one call, when it is short.
  explicit RawServer(Answer answer) : answer_(std::move(answer)) { listen(); }
  RawServer(const RawServer&) = delete;
  RawServer& operator=(const RawServer&) = delete;
  ~RawServer() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
    }
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    for (std::thread& thread : threads_) thread.join();
    for (const int fd : open_) ::close(fd);
    ::close(listener_);
  }

  int port() const { return port_; }

 private:
  void listen() {
    std::tie(listener_, port_) = listen_on_loopback(16);
    acceptor_ = std::thread([this] { accept_all(); });
  }

  void accept_all() {
    while (true) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      const std::lock_guard lock(mutex_);
      if (fd >= 0) open_.push_back(fd);
      if (fd >= 0 && !stopping_) threads_.emplace_back([this, fd] { serve(fd); });
      if (stopping_) return;
    }
  }

  void serve(int fd) const {
    if (answer_) return answer_all(fd);
    bool goes_on = send_all(fd, first_);
    while (goes_on && !forever_.empty()) goes_on = send_all(fd, forever_);
  }

  void answer_all(int fd) const {
    std::array<char, 65536> bytes{};
    while (true) {
      const ssize_t n = ::recv(fd, bytes.data(), bytes.size(), 0);
      if (n <= 0 || !send_all(fd, answer_({bytes.data(), static_cast<std::size_t>(n)}))) return;
    }
  }

  Answer answer_;
  std::string first_, forever_;
  int listener_ = -1;
  int port_ = 0;
  std::mutex mutex_;
  bool stopping_ = false;
  std::list<int> open_;
  std::list<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace lambdaml::storage
