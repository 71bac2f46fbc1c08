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

/// A small asynchronous HTTP/1.1 server, by default on loopback and for processes of this user.
/// Many servers run in the one thread that runs their loop; nothing here is thread-safe.
namespace lambdaml::faas::sandbox {

struct HttpRequest {
  std::string method;
  std::string target;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  unsigned version = 11;  ///< of HTTP: 10 or 11

  /// The first header of that name, in any case; empty if there is none.
  std::string_view header(std::string_view name) const;
};

struct HttpReply {
  int status = 200;
  std::string body = {};
  std::vector<std::pair<std::string, std::string>> headers = {};
};

/// A reply whose body is sent piece by piece. Destroying it ends the reply.
class ReplyStream {
 public:
  virtual ~ReplyStream() = default;
  /// Sends `text` after what was sent before, without waiting. A client that takes nothing for
  /// Limits::reply_s, or for which more than 4 MB wait, is disconnected.
  virtual void send(std::shared_ptr<const std::string> text) = 0;
  /// False once the client has disconnected.
  virtual bool is_open() const = 0;
};

/// One request that waits for its reply, for as long as that takes.
class Exchange {
 public:
  virtual ~Exchange() = default;
  HttpRequest request;
  /// Call once. Does nothing if the client has disconnected.
  virtual void reply(HttpReply reply) = 0;
  /// Call instead of reply() for a reply without a known length; `head` has no body. Null if the
  /// client has disconnected.
  virtual std::shared_ptr<ReplyStream> stream(HttpReply head) = 0;
  /// Whether the client is still connected according to the kernel.
  virtual bool is_open() const = 0;
};

/// Whose requests a server accepts.
struct Clients {
  /// Processes of other users and of other machines too: then the requests themselves must prove
  /// what they may do.
  bool all_users = false;
  /// Requests of the pages that this server sent; those of other pages never.
  bool own_pages = false;
};

class HttpServer {
 public:
  struct Limits {
    std::uint64_t body_bytes;            ///< of a request, unless Hooks::admit sets another limit
    std::size_t head_bytes = 16u << 10;  ///< request line and headers
    std::size_t connections = 32;        ///< at once
    /// Connections without a complete request: silent ones and partial requests.
    std::size_t waiting = 32;
    /// All bodies that have not arrived completely.
    std::uint64_t unfinished_bytes = 512u << 20;
    // Counted from the first byte; 0: no limit.
    double head_s = 0;               ///< for a head to arrive
    double body_s = 0;               ///< for the body after it
    double reply_s = 0;              ///< for a reply to be taken
    std::uint16_t port = 0;          ///< 0: the kernel picks one
    std::string host = "127.0.0.1";  ///< a name or address of this machine
    Clients clients = {};
  };
  /// What may follow a request's head.
  struct Admission {
    std::optional<HttpReply> refusal = {};  ///< if set, the body is not read and this is the reply
    std::uint64_t body_bytes = 0;           ///< the largest body
  };
  struct Hooks {
    std::function<void(std::shared_ptr<Exchange>)> serve;
    /// The reply to a request whose body is too large.
    std::function<HttpReply(const HttpRequest& head)> too_large;
    /// Called before a body is read; empty: admits every request.
    std::function<Admission(const HttpRequest& head)> admit = {};
    /// Turns the reply to what is refused before that (foreign.h) into the server's own format;
    /// empty: it is sent as it is.
    std::function<HttpReply(HttpReply refusal)> refused = {};
  };

  /// Unless `clients` says otherwise, a connection from another user's process is closed at once
  /// (foreign.h), with a warning in the log. Requests that use a name of this machine other than
  /// 127.0.0.1, ::1 or localhost (a foreign Host) and those of web pages (Origin, Sec-Fetch-Site)
  /// are refused with 403, because a browser is a process of this user too. Anything that is not
  /// HTTP gets 400, as does a request without Host, a head that is too large or one with more than
  /// 128 headers; the connection is closed after a refusal.
  ///
  /// If there are too many connections, the one that has gone without a complete request for
  /// longest is closed; connections whose body has begun to arrive are closed last, and those that
  /// wait for a reply never.
  ///
  /// Throws resource_exhausted if no descriptor or port is left, already_exists if the port is in
  /// use, invalid_argument if the host is not this machine, permission_denied if the kernel does
  /// not reveal the users of connections.
  HttpServer(boost::asio::io_context& loop, Limits limits, Hooks hooks);
  ~HttpServer() { close(); }
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::uint16_t port() const { return port_; }
  /// Stops listening and closes all connections.
  void close();
  /// Stops listening, and closes each connection once the reply to its request, if one is awaited,
  /// has been sent; after that the loop has no work of this server.
  void finish();

 private:
  struct State;
  class Session;

  std::shared_ptr<State> state_;
  std::uint16_t port_ = 0;
};

}  // namespace lambdaml::faas::sandbox
