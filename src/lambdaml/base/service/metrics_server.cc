#include "lambdaml/base/service/metrics_server.h"

#include <chrono>
#include <list>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/service/host_name.h"

namespace lambdaml {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;

}  // namespace

struct MetricsServer::Parts {
  Parts(const std::string& host, std::uint16_t port, std::function<MetricsText()> text)
      : page(std::move(text)), own_names_only(is_loopback(host)), acceptor(loop), pause(loop) {
    const tcp::endpoint place =
        tcp::resolver(loop).resolve(host, std::to_string(port), tcp::resolver::passive)->endpoint();
    acceptor.open(place.protocol());
    acceptor.set_option(tcp::acceptor::reuse_address(true));
    acceptor.bind(place);
    acceptor.listen();
    accept();
    thread = std::thread([this] { run(); });
  }
  ~Parts() {
    loop.stop();
    thread.join();
  }

  void run() {
    while (!loop.stopped()) {
      try {
        loop.run();
      } catch (const std::exception& error) {
        log::warning("metrics: {}", error.what());
      }
    }
  }

  class Session;
  void accept();

  const std::function<MetricsText()> page;
  const bool own_names_only;  ///< whose requests are answered
  asio::io_context loop{1};
  tcp::acceptor acceptor;
  asio::steady_timer pause;
  std::list<std::weak_ptr<Session>> sessions;  ///< the oldest first
  std::thread thread;
};

/// One connection with one request. Pending handlers keep it alive.
class MetricsServer::Parts::Session : public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, const Parts& server) : stream_(std::move(socket)), server_(server) {
    parser_.header_limit(kLongestHead);
    parser_.body_limit(0);
  }

  void serve() {
    stream_.expires_after(kPatience);
    beast::http::async_read(stream_, buffer_, parser_,
                            [self = shared_from_this()](error_code error, std::size_t) {
                              if (!error) self->answer();
                            });
  }
  void close() { stream_.close(); }

 private:
  static constexpr std::chrono::seconds kPatience{5};
  static constexpr std::uint32_t kLongestHead = 8 << 10;

  /// RFC 9112, 3.2: there is one, except that a client of HTTP/1.0 may have none where any is
  /// right.
  bool has_valid_host() const {
    const auto& question = parser_.get();
    const std::size_t hosts = question.count(beast::http::field::host);
    return hosts == 1 || (hosts == 0 && question.version() < 11 && !server_.own_names_only);
  }

  void answer() {
    const auto& question = parser_.get();
    const bool is_known = question.target() == "/metrics";
    const bool is_get = question.method() == beast::http::verb::get;
    answer_.version(11);
    const auto host = question[beast::http::field::host];
    const bool is_foreign = server_.own_names_only && !names_loopback({host.data(), host.size()});
    answer_.result(!has_valid_host() ? beast::http::status::bad_request
                   : is_foreign      ? beast::http::status::forbidden
                   : !is_get         ? beast::http::status::method_not_allowed
                   : is_known        ? beast::http::status::ok
                                     : beast::http::status::not_found);
    const auto accept = question[beast::http::field::accept];
    const auto format = MetricsText::format_for({accept.data(), accept.size()});
    answer_.set(beast::http::field::content_type, MetricsText::content_type(format));
    answer_.keep_alive(false);
    if (answer_.result() == beast::http::status::ok) answer_.body() = server_.page().text(format);
    answer_.prepare_payload();
    stream_.expires_after(kPatience);
    beast::http::async_write(stream_, answer_,
                             [self = shared_from_this()](error_code, std::size_t) {
                               error_code ignored;
                               self->stream_.socket().shutdown(tcp::socket::shutdown_both, ignored);
                             });
  }

  beast::tcp_stream stream_;
  beast::flat_buffer buffer_{kLongestHead};
  beast::http::request_parser<beast::http::string_body> parser_;
  beast::http::response<beast::http::string_body> answer_;
  const Parts& server_;
};

void MetricsServer::Parts::accept() {
  static constexpr std::size_t kMost = 64;
  static constexpr std::chrono::milliseconds kPause{20};
  acceptor.async_accept([this](error_code error, tcp::socket socket) {
    sessions.remove_if([](const auto& session) { return session.expired(); });
    if (error) {  // the client has disconnected, or there are no more descriptors
      pause.expires_after(kPause);
      pause.async_wait([this](error_code) { accept(); });
      return;
    }
    if (sessions.size() >= kMost) {
      if (const auto oldest = sessions.front().lock()) oldest->close();
      sessions.pop_front();
    }
    const auto session = std::make_shared<Session>(std::move(socket), *this);
    sessions.push_back(session);
    session->serve();
    accept();
  });
}

MetricsServer::MetricsServer(const std::string& host, std::uint16_t port,
                             std::function<MetricsText()> page) {
  try {
    parts_ = std::make_unique<Parts>(host, port, std::move(page));
  } catch (const boost::system::system_error& error) {
    const std::string what = "metrics on " + with_port(host, port);
    if (error.code() == asio::error::address_in_use)
      fail(Code::already_exists, "{}: the port is in use; give another", what);
    if (error.code() == asio::error::access_denied)
      fail(Code::permission_denied, "{}: only root may use this port; give another", what);
    if (error.code() == asio::error::no_descriptors)
      fail(Code::resource_exhausted, "{}: {}", what, error.code().message());
    fail(Code::invalid_argument, "{}: the host is not this machine ({})", what,
         error.code().message());
  }
}

MetricsServer::~MetricsServer() = default;

std::uint16_t MetricsServer::port() const { return parts_->acceptor.local_endpoint().port(); }

}  // namespace lambdaml
