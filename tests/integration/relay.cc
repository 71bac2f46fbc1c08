#include "integration/relay.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lambdaml/base/error.h"

namespace lambdaml::servers {
namespace {

sockaddr_in local_address(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  address.sin_port = ::htons(static_cast<std::uint16_t>(port));
  return address;
}

void at_once(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

bool send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

}  // namespace

Relay::Relay(int server_port) : server_port_(server_port) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = local_address(0);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (listener_ < 0 || ::bind(listener_, generic, size) != 0 || ::listen(listener_, 128) != 0 ||
      ::getsockname(listener_, generic, &size) != 0)
    fail_errno(errno, "listening");
  port_ = ::ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

Relay::~Relay() {
  ending_ = true;
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  for (std::thread& thread : threads_) thread.join();
  ::close(listener_);
}

void Relay::cut(std::size_t after_bytes, int times) {
  const std::lock_guard lock(mutex_);
  garbage_.reset();
  repeat_without_.reset();
  cut_after_ = after_bytes;
  harms_left_ = times;
}

void Relay::garble(const std::string& answer, int times) {
  const std::lock_guard lock(mutex_);
  repeat_without_.reset();
  garbage_ = answer;
  harms_left_ = times;
}

void Relay::repeat(std::size_t without_bytes, int times) {
  const std::lock_guard lock(mutex_);
  garbage_.reset();
  repeat_without_ = without_bytes;
  harms_left_ = times;
}

void Relay::accept_all() {
  while (!ending_) {
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) continue;
    threads_.emplace_back([this, client] {
      pass(client);
      ::close(client);
    });
  }
}

bool Relay::pause(double seconds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (std::chrono::steady_clock::now() < end && !ending_)
    std::this_thread::sleep_for(std::min<std::chrono::duration<double>>(
        end - std::chrono::steady_clock::now(), std::chrono::milliseconds(20)));
  return !ending_;
}

void Relay::pass(int client) {
  at_once(client);
  int server = -1;
  if (server_port_ != 0) {
    server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = local_address(server_port_);
    if (::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      ::close(server);
      return;
    }
    at_once(server);
  }
  std::array<char, 65536> bytes{};
  std::size_t sent = 0;  // of the answer to what the client said last
  for (bool goes_on = true; goes_on && !ending_;) {
    std::array<pollfd, 2> ready{{{client, POLLIN, 0}, {server, POLLIN, 0}}};
    if (::poll(ready.data(), ready.size(), 20) <= 0) continue;
    if (ready[0].revents != 0) {
      const ssize_t n = ::recv(client, bytes.data(), bytes.size(), 0);
      sent = 0;
      goes_on =
          n > 0 && (server < 0 || send_all(server, {bytes.data(), static_cast<std::size_t>(n)}));
    }
    if (goes_on && server >= 0 && ready[1].revents != 0) {
      const ssize_t n = ::recv(server, bytes.data(), bytes.size(), 0);
      goes_on = n > 0 && answer(client, {bytes.data(), static_cast<std::size_t>(n)}, sent);
    }
  }
  if (server >= 0) ::close(server);
}

bool Relay::answer(int client, std::string_view bytes, std::size_t& sent) {
  answered_bytes_ += bytes.size();
  if (silent_) return true;
  {
    const std::lock_guard lock(mutex_);
    if (harms_left_ > 0 && repeat_without_ && bytes.size() > *repeat_without_) {
      --harms_left_;
      ++harmed_;
      return send_all(client, std::string(bytes).append(bytes.substr(*repeat_without_)));
    }
    if (harms_left_ > 0 && garbage_ && sent == 0) {
      --harms_left_;
      ++harmed_;
      send_all(client, *garbage_);
      return false;
    }
    if (harms_left_ > 0 && !garbage_ && !repeat_without_ && sent + bytes.size() > cut_after_) {
      --harms_left_;
      ++harmed_;
      send_all(client, bytes.substr(0, cut_after_ - std::min(sent, cut_after_)));
      return false;
    }
  }
  sent += bytes.size();
  if (drip_s_ <= 0) return send_all(client, bytes);
  for (const char& byte : bytes)
    if (!send_all(client, {&byte, 1}) || !pause(drip_s_)) return false;
  return true;
}

}  // namespace lambdaml::servers
