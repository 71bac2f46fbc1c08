#include "lambdaml/faas/sandbox/http_server.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <deque>
#include <limits>
#include <list>
#include <set>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <sys/socket.h>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/error.h"
#include "lambdaml/faas/sandbox/foreign.h"

namespace lambdaml::faas::sandbox {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;
using boost::system::error_code;

// After a refusal, up to this much of what the client is sending is read and dropped: closing with
// unread bytes would reset the connection, and the client might never see the reply.
constexpr std::size_t kLingerBytes = 72u << 20;
constexpr double kLinger_s = 2;
constexpr std::chrono::milliseconds kAcceptPause{20};
/// Memory for what is between head and body, and for the headers of chunks.
constexpr std::size_t kBufferBytes = 64u << 10;
/// What may wait to be sent of a reply that is streamed.
constexpr std::size_t kMostQueued = 4u << 20;

template <class Message>
HttpRequest head_of(const Message& message) {
  HttpRequest out;
  out.method = std::string(message.method_string());
  out.target = std::string(message.target());
  out.version = message.version();
  for (const auto& field : message)
    out.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
  return out;
}

}  // namespace

std::string_view HttpRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (beast::iequals({key.data(), key.size()}, {name.data(), name.size()})) return value;
  return {};
}

struct HttpServer::State : std::enable_shared_from_this<State> {
  State(asio::io_context& loop, Limits limits, Hooks hooks)
      : limits(limits), hooks(std::move(hooks)), acceptor(loop), pause(loop) {}

  void accept();
  void stop();
  /// Closes the connection that has gone without a complete request for longest; false if there is
  /// none.
  bool make_room();

  const Limits limits;
  Hooks hooks;
  tcp::acceptor acceptor;
  asio::steady_timer pause;
  std::set<Session*> sessions;
  // In order of their last progress: connections without a complete head, and without a complete
  // body.
  std::list<Session*> waiting, unfinished;
  std::uint64_t unfinished_bytes = 0;
  bool closed = false;
};

/// One connection. Pending handlers keep it alive.
class HttpServer::Session : public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, std::shared_ptr<State> server)
      : socket_(std::move(socket)), server_(std::move(server)), timer_(socket_.get_executor()) {
    server_->sessions.insert(this);
  }
  ~Session() { forget(); }

  void read();

  void close() {
    error_code ignored;
    timer_.cancel(ignored);
    socket_.close(ignored);
    forget();
  }

  bool is_open() {
    if (!socket_.is_open()) return false;
    char byte;
    const ssize_t n = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK));
  }

  void reply(HttpReply reply) {
    if (!socket_.is_open()) return;
    message_.emplace();
    message_->result(static_cast<unsigned>(reply.status));
    message_->version(11);
    for (const auto& [name, value] : reply.headers) message_->set(name, value);
    message_->keep_alive(keep_alive_);
    message_->body() = std::move(reply.body);
    message_->prepare_payload();
    // RFC 9110, 8.6: a server must not send one with 204, and some clients wait for that body.
    if (reply.status == 204) message_->erase(http::field::content_length);
    writing_ = true;
    close_in(server_->limits.reply_s);
    http::async_write(
        socket_, *message_,
        [self = shared_from_this()](error_code error, std::size_t) { self->on_written(error); });
  }

  /// Begins a reply without a known length: it ends with the connection.
  void begin_stream(const HttpReply& head) {
    if (!socket_.is_open()) return;
    keep_alive_ = false;
    std::string text =
        fmt::format("HTTP/1.1 {} {}\r\nConnection: close\r\n", head.status,
                    std::string(http::obsolete_reason(static_cast<http::status>(head.status))));
    for (const auto& [name, value] : head.headers) text += fmt::format("{}: {}\r\n", name, value);
    send(std::make_shared<const std::string>(text + "\r\n"));
  }
  void send(std::shared_ptr<const std::string> text) {
    if (!socket_.is_open()) return;
    queued_bytes_ += text->size();
    if (queued_bytes_ > kMostQueued) return close();
    queue_.push_back(std::move(text));
    if (queue_.size() == 1) send_next();
  }
  void end_stream() {
    if (queue_.empty()) return close();
    is_last_ = true;
  }

 private:
  class Waiting;
  class Stream;

  void send_next() {
    close_in(server_->limits.reply_s);
    asio::async_write(socket_, asio::buffer(*queue_.front()),
                      [self = shared_from_this()](error_code error, std::size_t) {
                        if (error) return self->close();
                        self->close_in(0);
                        self->queued_bytes_ -= self->queue_.front()->size();
                        self->queue_.pop_front();
                        if (!self->queue_.empty()) return self->send_next();
                        if (self->is_last_) self->close();
                      });
  }
  void read_head();
  void on_head(error_code error);
  void await_body(std::string_view expectation);
  void read_body();
  void on_request();
  /// Whether the error ended the connection or was answered.
  bool is_over(error_code error);
  void watch_for_close();

  void on_written(error_code error) {
    writing_ = false;
    waiting_ = false;
    message_.reset();
    if (error || server_->closed) return close();
    if (!keep_alive_) return linger();
    close_in(0);
    move_to(&server_->waiting);
    // While watch_for_close() has a read pending, it starts the next read.
    if (!watching_) read();
  }

  void refuse_unread(HttpReply reply) {
    const auto& form = server_->hooks.refused;
    refuse(form ? form(std::move(reply)) : std::move(reply));
  }
  void refuse(HttpReply reply) {
    keep_alive_ = false;
    parser_.reset();
    hold(0);
    this->reply(std::move(reply));
  }

  void linger() {
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    move_to(&server_->waiting);
    close_in(kLinger_s);
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

  /// 0: no limit.
  void close_in(double seconds) {
    if (seconds <= 0) {
      timer_.expires_at(TimePoint::max());
      return;
    }
    timer_.expires_after(
        std::chrono::duration_cast<TimePoint::duration>(std::chrono::duration<double>(seconds)));
    timer_.async_wait([self = shared_from_this()](error_code error) {
      // One that has just expired can no longer be cancelled.
      if (!error && self->timer_.expiry() <= time_now()) self->close();
    });
  }

  void move_to(std::list<Session*>* list) {
    if (list_ != nullptr) list_->erase(place_);
    list_ = list;
    if (list_ != nullptr) place_ = list_->insert(list_->end(), this);
  }
  void hold(std::uint64_t bytes) {
    server_->unfinished_bytes += bytes - held_;
    held_ = bytes;
  }
  void forget() {
    move_to(nullptr);
    hold(0);
    server_->sessions.erase(this);
  }

  tcp::socket socket_;
  const std::shared_ptr<State> server_;
  asio::steady_timer timer_;
  beast::flat_buffer buffer_{server_->limits.head_bytes + kBufferBytes};
  std::optional<http::request_parser<http::string_body>> parser_;
  std::optional<http::response<http::string_body>> message_;
  std::array<char, 4096> dropped_;
  std::size_t lingered_ = 0;
  std::list<Session*>* list_ = nullptr;  ///< the server's list that contains this
  std::list<Session*>::iterator place_;
  std::uint64_t held_ = 0;  ///< bytes of an unfinished body
  bool keep_alive_ = true;
  bool writing_ = false;   ///< a reply is on its way
  bool waiting_ = false;   ///< a request waits for its reply
  bool watching_ = false;  ///< watch_for_close() has a read pending
  // Of a reply that is streamed:
  std::deque<std::shared_ptr<const std::string>> queue_;
  std::size_t queued_bytes_ = 0;
  bool is_last_ = false;
};

class HttpServer::Session::Stream : public ReplyStream {
 public:
  explicit Stream(std::shared_ptr<Session> session) : session_(std::move(session)) {}
  ~Stream() override { session_->end_stream(); }
  void send(std::shared_ptr<const std::string> text) override { session_->send(std::move(text)); }
  bool is_open() const override { return session_->socket_.is_open(); }

 private:
  std::shared_ptr<Session> session_;
};

class HttpServer::Session::Waiting : public Exchange {
 public:
  explicit Waiting(std::shared_ptr<Session> session) : session_(std::move(session)) {}
  void reply(HttpReply reply) override {
    if (const auto session = std::exchange(session_, nullptr)) session->reply(std::move(reply));
  }
  std::shared_ptr<ReplyStream> stream(HttpReply head) override {
    const auto session = std::exchange(session_, nullptr);
    if (!session || !session->socket_.is_open()) return nullptr;
    session->begin_stream(head);
    return std::make_shared<Stream>(session);
  }
  bool is_open() const override { return session_ && session_->is_open(); }

 private:
  std::shared_ptr<Session> session_;
};

void HttpServer::Session::read() {
  if (server_->closed) return close();
  move_to(&server_->waiting);
  // A request's time starts at its first byte: a kept connection may be silent.
  if (buffer_.size() > 0) return read_head();
  socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](error_code error) {
    if (!error) self->read_head();
  });
}

void HttpServer::Session::read_head() {
  if (server_->closed) return close();
  parser_.emplace();
  parser_->header_limit(static_cast<std::uint32_t>(server_->limits.head_bytes));
  // Boost 1.74 compares `boost::none` as less than any length.
  parser_->body_limit(std::numeric_limits<std::uint64_t>::max());
  close_in(server_->limits.head_s);
  http::async_read_header(
      socket_, buffer_, *parser_,
      [self = shared_from_this()](error_code error, std::size_t) { self->on_head(error); });
}

bool HttpServer::Session::is_over(error_code error) {
  if (server_->closed) {
    close();
    return true;
  }
  if (!error) return false;
  if (error == http::error::body_limit) {
    refuse(server_->hooks.too_large(head_of(parser_->get())));
    return true;
  }
  const bool is_transport =
      error.category() != http::make_error_code(http::error::bad_method).category();
  if (is_transport || error == http::error::end_of_stream || error == http::error::partial_message)
    close();
  else
    refuse_unread(no_request("no HTTP request"));
  return true;
}

void HttpServer::Session::on_head(error_code error) {
  if (is_over(error)) return;
  const HttpRequest head = head_of(parser_->get());
  if (auto reply = refuse_foreign(head, server_->limits.clients))
    return refuse_unread(std::move(*reply));
  Admission admission{.body_bytes = server_->limits.body_bytes};
  if (server_->hooks.admit) admission = server_->hooks.admit(head);
  if (admission.refusal) return refuse(std::move(*admission.refusal));
  if (parser_->content_length().value_or(0) > admission.body_bytes)
    return refuse(server_->hooks.too_large(head));
  parser_->body_limit(admission.body_bytes);
  close_in(server_->limits.body_s);
  await_body(head.header("Expect"));
}

/// A client that expects 100 sends the body only after it, or after a second or so.
void HttpServer::Session::await_body(std::string_view expectation) {
  static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  const bool is_old = parser_->get().version() < 11;
  if (expectation.empty() || is_old || parser_->is_done()) return read_body();
  if (!beast::iequals({expectation.data(), expectation.size()}, "100-continue"))
    return refuse({417, "no such expectation can be met"});
  asio::async_write(socket_, asio::buffer(kContinue),
                    [self = shared_from_this()](error_code error, std::size_t) {
                      if (!self->is_over(error)) self->read_body();
                    });
}

void HttpServer::Session::read_body() {
  if (parser_->is_done()) return on_request();
  move_to(&server_->unfinished);
  http::async_read_some(socket_, buffer_, *parser_,
                        [self = shared_from_this()](error_code error, std::size_t) {
                          if (self->is_over(error)) return;
                          self->hold(self->parser_->get().body().size());
                          State& server = *self->server_;
                          self->move_to(&server.unfinished);
                          while (server.unfinished_bytes > server.limits.unfinished_bytes &&
                                 server.unfinished.front() != self.get())
                            server.unfinished.front()->close();
                          self->read_body();
                        });
}

void HttpServer::Session::on_request() {
  move_to(nullptr);
  hold(0);
  close_in(0);
  keep_alive_ = parser_->keep_alive();
  auto exchange = std::make_shared<Waiting>(shared_from_this());
  exchange->request = head_of(parser_->get());
  exchange->request.body = std::move(parser_->get().body());
  parser_.reset();
  waiting_ = true;
  const auto serve = server_->hooks.serve;
  if (serve) serve(std::move(exchange));
  if (waiting_ && !writing_) watch_for_close();
}

/// While a client waits for its reply, nothing else reads from its socket, so its death would go
/// unnoticed: an event could then be given to a dead runtime and be lost for a long time.
void HttpServer::Session::watch_for_close() {
  watching_ = true;
  socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](error_code error) {
    self->watching_ = false;
    if (error) return;
    if (!self->waiting_) return self->read();
    // Bytes received before the reply are the next, pipelined request; they are read after it.
    if (!self->is_open()) self->close();
  });
}

bool HttpServer::State::make_room() {
  std::list<Session*>& from = waiting.empty() ? unfinished : waiting;
  if (from.empty()) return false;
  from.front()->close();
  return true;
}

void HttpServer::State::accept() {
  acceptor.async_accept([self = shared_from_this()](error_code error, tcp::socket socket) {
    if (self->closed) return;
    if (error) {
      // Most likely no descriptor is left; the connection stays in the kernel's queue meanwhile.
      self->make_room();
      self->pause.expires_after(kAcceptPause);
      self->pause.async_wait([self](error_code cancelled) {
        if (!cancelled && !self->closed) self->accept();
      });
      return;
    }
    if (self->limits.clients.all_users || is_ours(socket)) {
      const bool is_crowded =
          self->waiting.size() + self->unfinished.size() >= self->limits.waiting;
      if (is_crowded) self->make_room();
      if (self->sessions.size() < self->limits.connections || self->make_room()) {
        error_code ignored;
        socket.set_option(tcp::no_delay(true), ignored);
        std::make_shared<Session>(std::move(socket), self)->read();
      }
    }
    self->accept();
  });
}

HttpServer::HttpServer(asio::io_context& loop, Limits limits, Hooks hooks)
    : state_(std::make_shared<State>(loop, limits, std::move(hooks))) {
  try {
    const tcp::endpoint address =
        tcp::resolver(loop)
            .resolve(limits.host, std::to_string(limits.port), tcp::resolver::passive)
            ->endpoint();
    state_->acceptor.open(address.protocol());
    // A port that was just released can be taken at once; one in use cannot.
    state_->acceptor.set_option(tcp::acceptor::reuse_address(true));
    state_->acceptor.bind(address);
    state_->acceptor.listen();
    port_ = state_->acceptor.local_endpoint().port();
    if (!limits.clients.all_users) require_users_known(state_->acceptor.local_endpoint());
  } catch (const boost::system::system_error& error) {
    const std::string what = fmt::format("cannot listen on {}:{}", limits.host, limits.port);
    if (error.code() == asio::error::address_in_use)
      fail(Code::already_exists, "{}: the port is in use; give another", what);
    if (error.code() == asio::error::no_descriptors)
      fail(Code::resource_exhausted, "{}: {}", what, error.code().message());
    if (limits.port != 0 && limits.port < 1024 && error.code() == asio::error::access_denied)
      fail(Code::permission_denied, "{}: ports below 1024 are for root; give another", what);
    if (limits.host != "127.0.0.1")
      fail(Code::invalid_argument, "{}: this machine has no such address ({})", what,
           error.code().message());
    fail(Code::resource_exhausted, "{}: {}", what, error.code().message());
  }
  state_->accept();
}

void HttpServer::State::stop() {
  error_code ignored;
  closed = true;
  acceptor.close(ignored);
  pause.cancel(ignored);
  hooks = {};
}

void HttpServer::close() {
  if (!state_->closed) state_->stop();
  // A session that closes leaves the set at once.
  const std::vector<Session*> sessions(state_->sessions.begin(), state_->sessions.end());
  for (Session* session : sessions) session->close();
}

void HttpServer::finish() {
  if (!state_->closed) state_->stop();
  for (const std::list<Session*>* list : {&state_->waiting, &state_->unfinished})
    while (!list->empty()) list->front()->close();
}

}  // namespace lambdaml::faas::sandbox
