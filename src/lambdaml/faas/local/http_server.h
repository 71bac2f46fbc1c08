#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

/// A small asynchronous HTTP/1.1 server on loopback: many of them run in the one thread that runs
/// their loop. Nothing here is thread-safe.
namespace lambdaml::faas::local {

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
  /// Whether the client still waits.
  virtual bool is_open() const = 0;
};

class HttpServer {
 public:
  using Serve = std::function<void(std::shared_ptr<Exchange>)>;
  struct Limits {
    std::uint64_t body_bytes;
    std::size_t connections = 32;  ///< further ones are closed at once
    std::uint16_t port = 0;        ///< 0: the kernel picks one
  };

  /// Listens on 127.0.0.1. A request of a larger body gets
  /// `too_large` and its connection is closed; bytes that are no HTTP get 400. Throws
  /// resource_exhausted when no descriptor or port is left.
  HttpServer(boost::asio::io_context& loop, Limits limits, Serve serve,
             std::function<HttpReply(const HttpRequest& head)> too_large);
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

}  // namespace lambdaml::faas::local
