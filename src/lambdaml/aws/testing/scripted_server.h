#pragma once

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lambdaml/base/testing/listener.h"

/// For tests: an HTTP server with scripted answers, including those that a real server would not
/// give on request: throttling, half an answer, a reset, a slow trickle. Header-only, so that it is
/// part of no library.
namespace lambdaml::aws {

/// The server's reaction to one request.
struct ScriptedAnswer {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string body = {};
  double delay_s = 0;  ///< before the first byte
  double drip_s = 0;   ///< between two bytes of the body
  /// Resets the connection after that many bytes of the body.
  std::optional<std::size_t> cut_after = {};
  /// Resets the connection instead of answering.
  bool reset = false;
  /// Closes the connection after the answer without announcing it.
  bool close_after = false;
  /// Adds the marks of AWS's services, which a captive portal's answers lack.
  bool marked = true;
  /// Closes the connection after that many bytes of the answer, including the head.
  std::optional<std::size_t> close_within = {};
};

using Script = std::vector<ScriptedAnswer>;

/// A request as received by the server.
struct ScriptedRequest {
  std::string method;
  std::string target;                                        ///< path and query as they were sent
  std::vector<std::pair<std::string, std::string>> headers;  ///< names in lower case
  std::string body;
  int connection = 0;  ///< counted from 0, in the order in which they were accepted

  std::string header(std::string_view name) const {
    for (const auto& [known, value] : headers)
      if (known == name) return value;
    return {};
  }
};

/// Listens on a free port of 127.0.0.1, with a thread per connection; destruction ends all
/// connections.
class ScriptedServer {
 public:
  using Handler = std::function<ScriptedAnswer(const ScriptedRequest&)>;

  /// `handler` is called from several threads, one call at a time.
  explicit ScriptedServer(Handler handler) : handler_(std::move(handler)) {
    std::tie(listener_, port_) = listen_on_loopback(128);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  /// The n-th request gets the n-th answer; later ones get the last answer.
  explicit ScriptedServer(Script script)
      : ScriptedServer([script = std::move(script),
                        next = std::size_t{0}](const ScriptedRequest&) mutable -> ScriptedAnswer {
          if (script.empty()) return {};
          return script[std::min(next++, script.size() - 1)];
        }) {}
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;
  ~ScriptedServer() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      ::shutdown(listener_, SHUT_RDWR);
      for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
    }
    stop_.notify_all();
    acceptor_.join();
    for (std::thread& thread : threads_) thread.join();
    ::close(listener_);
  }

  int port() const { return port_; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  /// The requests received so far.
  std::vector<ScriptedRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  /// The largest number of concurrent requests.
  int most_at_once() const {
    const std::lock_guard lock(mutex_);
    return most_at_once_;
  }

 private:
  void accept_all() {
    for (int serial = 0;; ++serial) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      const std::lock_guard lock(mutex_);
      if (fd < 0 || stopping_) {
        if (fd >= 0) ::close(fd);
        if (stopping_) return;
        continue;
      }
      const int one = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      open_.push_back(fd);
      threads_.emplace_back([this, fd, serial] {
        serve(fd, serial);
        const std::lock_guard closing(mutex_);
        std::erase(open_, fd);
        ::close(fd);
      });
    }
  }

  void serve(int fd, int serial) {
    std::string unread;
    while (std::optional<ScriptedRequest> request = read_request(fd, unread)) {
      request->connection = serial;
      ScriptedAnswer answer;
      {
        const std::lock_guard lock(mutex_);
        most_at_once_ = std::max(most_at_once_, ++at_once_);
        requests_.push_back(*request);
        answer = handler_(*request);
      }
      const bool go_on = pause(answer.delay_s) && reply(fd, answer, request->method == "HEAD");
      {
        const std::lock_guard lock(mutex_);
        --at_once_;
      }
      if (!go_on) return;
    }
  }

  /// nullopt if the peer has closed the connection.
  static std::optional<ScriptedRequest> read_request(int fd, std::string& unread) {
    const auto more = [&] {
      char part[65536];
      const ssize_t got = ::recv(fd, part, sizeof part, 0);
      if (got > 0) unread.append(part, static_cast<std::size_t>(got));
      return got > 0;
    };
    std::size_t end = 0;
    while ((end = unread.find("\r\n\r\n")) == std::string::npos)
      if (!more()) return {};
    ScriptedRequest request;
    std::size_t length = 0;
    for (std::size_t begin = 0; begin < end + 2;) {
      const std::size_t stop = unread.find("\r\n", begin);
      const std::string line = unread.substr(begin, stop - begin);
      if (begin == 0) {
        const std::size_t first = line.find(' ');
        const std::size_t last = line.rfind(' ');
        request.method = line.substr(0, first);
        request.target = line.substr(first + 1, last - first - 1);
      } else if (const std::size_t colon = line.find(':'); colon != std::string::npos) {
        std::string name = line.substr(0, colon);
        for (char& c : name)
          if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
        const std::size_t value = std::min(line.find_first_not_of(' ', colon + 1), line.size());
        request.headers.emplace_back(name, line.substr(value));
        if (name == "content-length") length = std::stoul(line.substr(value));
      }
      begin = stop + 2;
    }
    unread.erase(0, end + 4);
    while (unread.size() < length)
      if (!more()) return {};
    request.body = unread.substr(0, length);
    unread.erase(0, length);
    return request;
  }

  /// Whether the connection stays open.
  bool reply(int fd, const ScriptedAnswer& answer, bool head_only) {
    if (answer.reset) return reset(fd);
    std::string head = "HTTP/1.1 " + std::to_string(answer.status) + " Scripted\r\n";
    bool has_length = answer.status == 204 || answer.status == 304;
    for (const auto& [name, value] : answer.headers) {
      head += name + ": " + value + "\r\n";
      has_length |= name == "content-length" || name == "transfer-encoding";
    }
    if (answer.marked) head += "x-amz-request-id: scripted\r\n";
    if (!has_length) head += "content-length: " + std::to_string(answer.body.size()) + "\r\n";
    head += "\r\n";
    std::string_view body = head_only ? std::string_view() : std::string_view(answer.body);
    if (answer.close_within) {
      const std::string whole = head + std::string(body);
      send_all(fd, std::string_view(whole).substr(0, *answer.close_within));
      return false;
    }
    if (answer.cut_after) body = body.substr(0, *answer.cut_after);
    if (answer.drip_s > 0) {
      if (!send_all(fd, head)) return false;
      for (const char& c : body)
        if (!send_all(fd, {&c, 1}) || !pause(answer.drip_s)) return false;
    } else if (!send_all(fd, head + std::string(body))) {
      return false;
    }
    if (answer.cut_after) {
      // The sent bytes must arrive before the reset discards them.
      await_acknowledged(fd);
      return reset(fd);
    }
    return !answer.close_after;
  }

  static bool reset(int fd) {
    const linger at_once{1, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    return false;
  }

  static void await_acknowledged(int fd) {
    for (int i = 0; i < 1000; ++i) {
      tcp_info info{};
      socklen_t size = sizeof info;
      if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || info.tcpi_unacked == 0)
        return;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  /// False if the server ends meanwhile.
  bool pause(double seconds) {
    if (seconds <= 0) return true;
    std::unique_lock lock(mutex_);
    return !stop_.wait_for(lock, std::chrono::duration<double>(seconds),
                           [this] { return stopping_; });
  }

  Handler handler_;
  int listener_ = -1;
  int port_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable stop_;
  bool stopping_ = false;
  std::vector<ScriptedRequest> requests_;
  int at_once_ = 0, most_at_once_ = 0;
  std::vector<int> open_;
  std::list<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace lambdaml::aws
