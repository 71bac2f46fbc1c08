#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

/// A small asynchronous HTTP/1.1 server on loopback, for processes of this user: many of them run
/// in the one thread that runs their loop. Nothing here is thread-safe.
namespace lambdaml::faas::sandbox {

struct HttpRequest {
  std::string method;
  std::string target;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;

  /// The first header of that name, whatever its case; empty when there is none.
  std::string_view header(std::string_view name) const;
};

struct HttpReply {
  int status = 200;
  std::string body = {};
  std::vector<std::pair<std::string, std::string>> headers = {};
};

/// One request that waits for its reply, for as long as it takes.
class Exchange {
 public:
  virtual ~Exchange() = default;
  HttpRequest request;
  /// To be called once. Does nothing when the client has gone.
  virtual void reply(HttpReply reply) = 0;
  /// Whether the client still waits, as the kernel knows it at this moment.
  virtual bool is_open() const = 0;
};

class HttpServer {
 public:
  struct Limits {
    std::uint64_t body_bytes;            ///< of a request, unless Hooks::admit says otherwise
    std::size_t head_bytes = 16u << 10;  ///< request line and headers
    std::size_t connections = 32;        ///< at once
    /// Of these without a whole request: silent ones, halves of requests.
    std::size_t waiting = 32;
    /// Of all bodies that have not arrived whole.
    std::uint64_t unfinished_bytes = 512u << 20;
    // From its first byte on; 0: for ever.
    double head_s = 0;       ///< for a head to arrive
    double body_s = 0;       ///< for the body after it
    double reply_s = 0;      ///< for a reply to be taken
    std::uint16_t port = 0;  ///< 0: the kernel picks one
  };
  /// What may follow a request's head.
  struct Admission {
    std::optional<HttpReply> refusal = {};  ///< nothing: this is the reply
    std::uint64_t body_bytes = 0;           ///< the largest body
  };
  struct Hooks {
    std::function<void(std::shared_ptr<Exchange>)> serve;
    /// The reply to a request of a larger body than it may have.
    std::function<HttpReply(const HttpRequest& head)> too_large;
    /// Called before a body is read; none: everything is admitted.
    std::function<Admission(const HttpRequest& head)> admit = {};
  };

  /// Listens on 127.0.0.1.
  ///
  /// A connection of another user's process is closed at once (foreign.h), with a warning in the
  /// log. Refused with 403 are requests that come by another name of this machine than 127.0.0.1,
  /// ::1 or localhost (a foreign Host) and those of web pages (Origin, Sec-Fetch-Site): a browser
  /// is a process of this user too. What is no HTTP gets 400, as does a head that is too large or
  /// has more than 128 headers; the connection is closed after a refusal.
  ///
  /// When there are more connections than the limits say, the one gives way that has been without a
  /// whole request for longest; those whose body has begun to arrive only after the others. A
  /// request that waits for its reply never does.
  ///
  /// Throws resource_exhausted when no descriptor or port is left, already_exists when the port is
  /// in use, permission_denied where the kernel does not tell the users of connections.
  HttpServer(boost::asio::io_context& loop, Limits limits, Hooks hooks);
  ~HttpServer() { close(); }
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::uint16_t port() const { return port_; }
  /// Listens no more and closes all connections.
  void close();

 private:
  struct State;
  class Session;

  std::shared_ptr<State> state_;
  std::uint16_t port_ = 0;
};

}  // namespace lambdaml::faas::sandbox
