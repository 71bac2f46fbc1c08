#include "integration/gate.h"

#include <cerrno>
#include <chrono>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lambdaml/base/error.h"

namespace lambdaml::servers {
namespace {

constexpr int kLook_ms = 5;  ///< how soon a new state is seen
constexpr std::size_t kPiece = 64 << 10;

sockaddr_in on_loopback(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  address.sin_port = ::htons(static_cast<std::uint16_t>(port));
  return address;
}

void no_blocking(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK); }

/// Sends what it can; false when the other end is gone.
bool flush(int to, std::string& waiting) {
  while (!waiting.empty()) {
    const ssize_t n = ::send(to, waiting.data(), waiting.size(), MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    waiting.erase(0, static_cast<std::size_t>(n));
  }
  return true;
}

/// Receives what is there; false at the end.
bool take(int from, std::string& news) {
  char piece[kPiece];
  const ssize_t n = ::recv(from, piece, sizeof piece, 0);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  news.assign(piece, static_cast<std::size_t>(n));
  return n > 0;
}

}  // namespace

struct Gate::Pair {
  int client = -1;
  int server = -1;
  std::string to_server, to_client;
  std::string end_of_last;  ///< towards the server, where a text may have begun

  void close() const {
    ::close(client);
    if (server >= 0) ::close(server);
  }
};

Gate::Gate(int server) : server_(server) {
  listen();
  thread_ = std::thread([this] { run(); });
}

Gate::~Gate() {
  stopping_ = true;
  thread_.join();
}

void Gate::set(State state) { state_ = state; }

void Gate::set_at(std::string text, int nth, State state) {
  const std::lock_guard lock(mutex_);
  text_ = std::move(text);
  left_ = nth;
  then_ = state;
}

bool Gate::wait(double seconds) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::duration<double>(seconds), [&] { return has_come_; });
}

void Gate::listen() {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address = on_loopback(port_);
  socklen_t size = sizeof address;
  if (listener_ < 0 || ::bind(listener_, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      ::listen(listener_, 128) != 0 ||
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    fail_errno(errno, "opening a gate");
  no_blocking(listener_);
  port_ = ::ntohs(address.sin_port);
}

void Gate::run() {
  while (!stopping_) {
    const State state = state_;
    if (state == State::shut && listener_ >= 0) {
      ::close(std::exchange(listener_, -1));
      for (const Pair& pair : pairs_) pair.close();
      pairs_.clear();
    }
    if (state == State::open && listener_ < 0) listen();
    if (state != State::open) {
      std::this_thread::sleep_for(std::chrono::milliseconds(kLook_ms));
      continue;
    }
    std::vector<pollfd> watched{{listener_, POLLIN, 0}};
    for (const Pair& pair : pairs_) {
      const auto events = [](const std::string& in, const std::string& out) {
        return static_cast<short>((in.empty() ? POLLIN : 0) | (out.empty() ? 0 : POLLOUT));
      };
      watched.push_back({pair.client, events(pair.to_server, pair.to_client), 0});
      watched.push_back({pair.server, events(pair.to_client, pair.to_server), 0});
    }
    ::poll(watched.data(), watched.size(), kLook_ms);
    if (state_ != State::open) continue;
    for (std::size_t i = 0; i < pairs_.size() && state_ == State::open;) {
      if (pump(pairs_[i])) {
        ++i;
        continue;
      }
      pairs_[i].close();
      pairs_.erase(pairs_.begin() + static_cast<std::ptrdiff_t>(i));
    }
    accept();
  }
  for (const Pair& pair : pairs_) pair.close();
  if (listener_ >= 0) ::close(listener_);
}

void Gate::accept() {
  for (int client = -1; (client = ::accept(listener_, nullptr, nullptr)) >= 0;) {
    Pair pair;
    pair.client = client;
    no_blocking(client);
    if (server_ != 0) {
      const sockaddr_in address = on_loopback(server_);
      pair.server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (::connect(pair.server, reinterpret_cast<const sockaddr*>(&address), sizeof address) !=
          0) {
        pair.close();
        continue;
      }
      no_blocking(pair.server);
    }
    pairs_.push_back(pair);
    const std::lock_guard lock(mutex_);
    if (!text_.empty()) continue;
    has_come_ = true;
    changed_.notify_all();
  }
}

/// What one direction brings waits until it is sent, before more is taken. False when an end is
/// gone.
bool Gate::pump(Pair& pair) {
  if (pair.to_server.empty()) {
    std::string news;
    if (!take(pair.client, news)) return false;
    if (!news.empty()) look_for_text(pair, news);
    // What nobody is there for is swallowed.
    if (server_ != 0) pair.to_server = std::move(news);
    if (state_ != State::open) return true;
  }
  if (server_ == 0) return true;
  // A client that has gone meanwhile is not spoken for.
  char byte = 0;
  if (!pair.to_server.empty() && ::recv(pair.client, &byte, 1, MSG_PEEK) == 0) return false;
  if (!flush(pair.server, pair.to_server)) return false;
  if (pair.to_client.empty() && !take(pair.server, pair.to_client)) return false;
  return flush(pair.client, pair.to_client);
}

void Gate::look_for_text(Pair& pair, const std::string& news) {
  const std::lock_guard lock(mutex_);
  if (text_.empty() || left_ == 0) return;
  const std::string both = pair.end_of_last + news;
  for (std::size_t at = both.find(text_); at != std::string::npos && left_ > 0;
       at = both.find(text_, at + 1))
    --left_;
  pair.end_of_last = both.substr(both.size() - std::min(both.size(), text_.size() - 1));
  if (left_ > 0) return;
  state_ = then_;
  has_come_ = true;
  changed_.notify_all();
}

}  // namespace lambdaml::servers
