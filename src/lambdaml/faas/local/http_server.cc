#include "lambdaml/faas/local/http_server.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <set>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"

namespace lambdaml::faas::local {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;
using boost::system::error_code;

// After a refusal the rest of what the client is sending is read and dropped, up to these: a close
// with unread bytes would reset the connection and the client might never see the reply.
constexpr std::size_t kLingerBytes = 64u << 20;
constexpr std::chrono::seconds kLingerTime{2};
constexpr std::chrono::milliseconds kAcceptPause{20};

HttpRequest to_request(http::request<http::string_body>&& message) {
  HttpRequest out;
  out.method = std::string(message.method_string());
  out.target = std::string(message.target());
  for (const auto& field : message)
    out.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
  out.body = std::move(message.body());
  return out;
}

}  // namespace

std::string_view HttpRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (beast::iequals({key.data(), key.size()}, {name.data(), name.size()})) return value;
  return {};
}

struct HttpServer::State : std::enable_shared_from_this<State> {
  State(asio::io_context& loop, Limits limits, Serve serve,
        std::function<HttpReply(const HttpRequest&)> too_large)
      : limits(limits),
        serve(std::move(serve)),
        too_large(std::move(too_large)),
        acceptor(loop),
        pause(loop) {}

  void accept();

  const Limits limits;
  Serve serve;
  std::function<HttpReply(const HttpRequest&)> too_large;
  tcp::acceptor acceptor;
  asio::steady_timer pause;
  std::set<Session*> sessions;
  bool closed = false;
};

/// One connection. Its handlers hold it; it lives as long as one of them waits.
class HttpServer::Session : public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, std::shared_ptr<State> server)
      : socket_(std::move(socket)),
        server_(std::move(server)),
        linger_timer_(socket_.get_executor()) {
    server_->sessions.insert(this);
  }
  ~Session() { server_->sessions.erase(this); }

  void read() {
    if (server_->closed) return close();
    parser_.emplace();
    parser_->body_limit(server_->limits.body_bytes);
    http::async_read(
        socket_, buffer_, *parser_,
        [self = shared_from_this()](error_code error, std::size_t) { self->on_request(error); });
  }

  void close() {
    error_code ignored;
    linger_timer_.cancel(ignored);
    socket_.close(ignored);
  }

  bool is_open() const { return socket_.is_open(); }

  void reply(HttpReply reply) {
    if (!socket_.is_open()) return;
    message_.emplace();
    message_->result(static_cast<unsigned>(reply.status));
    message_->version(11);
    for (const auto& [name, value] : reply.headers) message_->set(name, value);
    message_->keep_alive(keep_alive_);
    message_->body() = std::move(reply.body);
    message_->prepare_payload();
    writing_ = true;
    http::async_write(
        socket_, *message_,
        [self = shared_from_this()](error_code error, std::size_t) { self->on_written(error); });
  }

 private:
  class Waiting;

  void on_request(error_code error);
  void watch_for_close();

  void on_written(error_code error) {
    writing_ = false;
    waiting_ = false;
    message_.reset();
    if (error || server_->closed) return close();
    if (!keep_alive_) return linger();
    // While watch_for_close() waits, the next read is its to start.
    if (!watching_) read();
  }

  void refuse(HttpReply reply) {
    keep_alive_ = false;
    this->reply(std::move(reply));
  }

  void linger() {
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    linger_timer_.expires_after(kLingerTime);
    linger_timer_.async_wait([self = shared_from_this()](error_code error) {
      if (!error) self->close();
    });
    drop();
  }

  void drop() {
    socket_.async_read_some(asio::buffer(dropped_),
                            [self = shared_from_this()](error_code error, std::size_t n) {
                              self->lingered_ += n;
                              if (error || self->lingered_ > kLingerBytes) return self->close();
                              self->drop();
                            });
  }

  tcp::socket socket_;
  const std::shared_ptr<State> server_;
  asio::steady_timer linger_timer_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  std::optional<http::response<http::string_body>> message_;
  std::array<char, 4096> dropped_;
  std::size_t lingered_ = 0;
  bool keep_alive_ = true;
  bool writing_ = false;   ///< a reply is on its way
  bool waiting_ = false;   ///< a request waits for its reply
  bool watching_ = false;  ///< watch_for_close() has a read pending
};

class HttpServer::Session::Waiting : public Exchange {
 public:
  explicit Waiting(std::shared_ptr<Session> session) : session_(std::move(session)) {}
  void reply(HttpReply reply) override {
    if (const auto session = std::exchange(session_, nullptr)) session->reply(std::move(reply));
  }
  bool is_open() const override { return session_ && session_->is_open(); }

 private:
  std::shared_ptr<Session> session_;
};

void HttpServer::Session::on_request(error_code error) {
  if (server_->closed) return close();
  if (error == http::error::body_limit) {
    HttpRequest head = to_request(parser_->release());
    head.body.clear();
    return refuse(server_->too_large(head));
  }
  const bool is_transport =
      error && error.category() != http::make_error_code(http::error::bad_method).category();
  if (is_transport || error == http::error::end_of_stream || error == http::error::partial_message)
    return close();
  if (error)
    return refuse({400, R"({"errorMessage":"no HTTP request","errorType":"InvalidRequest"})"});
  keep_alive_ = parser_->keep_alive();
  auto exchange = std::make_shared<Waiting>(shared_from_this());
  exchange->request = to_request(parser_->release());
  waiting_ = true;
  const auto serve = server_->serve;
  if (serve) serve(std::move(exchange));
  if (waiting_ && !writing_) watch_for_close();
}

/// While a client waits for its reply nothing else reads from its socket, and nobody would notice
/// that it died: an event would then be given to a dead runtime and be lost for long.
void HttpServer::Session::watch_for_close() {
  watching_ = true;
  socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](error_code error) {
    self->watching_ = false;
    if (error) return;
    if (!self->waiting_) return self->read();
    error_code peeked;
    char byte;
    self->socket_.receive(asio::buffer(&byte, 1), tcp::socket::message_peek, peeked);
    // Bytes before the reply are the next request, pipelined; they are read after it.
    if (peeked && peeked != asio::error::would_block) self->close();
  });
}

void HttpServer::State::accept() {
  acceptor.async_accept([self = shared_from_this()](error_code error, tcp::socket socket) {
    if (self->closed) return;
    if (error) {
      // Most likely no descriptor is left; the connection stays in the queue meanwhile.
      self->pause.expires_after(kAcceptPause);
      self->pause.async_wait([self](error_code cancelled) {
        if (!cancelled && !self->closed) self->accept();
      });
      return;
    }
    if (self->sessions.size() < self->limits.connections) {
      error_code ignored;
      socket.set_option(tcp::no_delay(true), ignored);
      std::make_shared<Session>(std::move(socket), self)->read();
    }
    self->accept();
  });
}

HttpServer::HttpServer(asio::io_context& loop, Limits limits, Serve serve,
                       std::function<HttpReply(const HttpRequest&)> too_large)
    : state_(std::make_shared<State>(loop, limits, std::move(serve), std::move(too_large))) {
  try {
    const tcp::endpoint address(asio::ip::address_v4::loopback(), limits.port);
    state_->acceptor.open(address.protocol());
    // A port that was just left can be taken at once; one in use cannot.
    state_->acceptor.set_option(tcp::acceptor::reuse_address(true));
    state_->acceptor.bind(address);
    state_->acceptor.listen();
    port_ = state_->acceptor.local_endpoint().port();
  } catch (const boost::system::system_error& error) {
    if (error.code() == asio::error::address_in_use)
      fail(Code::already_exists, "cannot listen on 127.0.0.1:{}: the port is in use; give another",
           limits.port);
    fail(Code::resource_exhausted, "cannot listen on 127.0.0.1:{}: {}", limits.port,
         error.code().message());
  }
  state_->accept();
}

void HttpServer::close() {
  if (std::exchange(state_->closed, true)) return;
  error_code ignored;
  state_->acceptor.close(ignored);
  state_->pause.cancel(ignored);
  state_->serve = nullptr;
  // A session that closes may leave the set at once.
  const std::vector<Session*> sessions(state_->sessions.begin(), state_->sessions.end());
  for (Session* session : sessions) session->close();
}

}  // namespace lambdaml::faas::local
