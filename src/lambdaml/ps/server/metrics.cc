#include "lambdaml/ps/server/metrics.h"

#include <chrono>
#include <list>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>

#include "lambdaml/base/log.h"

namespace lambdaml::ps {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;

/// What Prometheus reads: https://prometheus.io/docs/instrumenting/exposition_formats/
class MetricsPage {
 public:
  void gauge(const char* name, const char* help, std::uint64_t value) {
    head(name, help, "gauge");
    line(name, value);
  }
  void counter(const char* name, const char* help, std::uint64_t value) {
    head(name, help, "counter");
    line(name, value);
  }
  void summary(const std::string& name, const char* help, std::uint64_t count, std::uint64_t ns) {
    head(name, help, "summary");
    line(name + "_count", count);
    text_ += fmt::format("{}_sum {:.9g}\n", name, static_cast<double>(ns) / 1e9);
  }
  const std::string& text() const { return text_; }

 private:
  void head(std::string_view name, const char* help, const char* type) {
    text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  }
  void line(std::string_view name, std::uint64_t value) {
    text_ += fmt::format("{} {}\n", name, value);
  }
  std::string text_;
};

std::string metrics_page(State& state) {
  const Stats& stats = state.environment().stats;
  const Budget& budget = state.environment().budget;
  const std::int64_t connections = stats.connections;
  MetricsPage page;
  page.gauge("lambdaml_ps_models", "Registered models.", state.models());
  page.gauge("lambdaml_ps_sums", "Sums of rounds and running vectors that are no models.",
             state.sums());
  page.gauge("lambdaml_ps_keys", "Keys.", state.keys().size());
  page.gauge("lambdaml_ps_connections", "Clients connected.",
             static_cast<std::uint64_t>(std::max<std::int64_t>(connections, 0)));
  page.gauge("lambdaml_ps_memory_bytes", "Memory of vectors and values.", budget.used());
  page.gauge("lambdaml_ps_memory_limit_bytes", "Its limit.", budget.limit());
  page.counter("lambdaml_ps_pushes_total", "Pushes that counted.", stats.pushes);
  page.counter("lambdaml_ps_repeated_pushes_total", "Pushes sent again, which do not count.",
               stats.repeated_pushes);
  page.counter("lambdaml_ps_pulls_total", "Pulls.", stats.pulls);
  page.counter("lambdaml_ps_refused_total", "Calls that were refused.", stats.refused);
  page.counter("lambdaml_ps_wrong_tokens_total", "Greetings with a wrong token or none.",
               stats.wrong_tokens);
  page.counter("lambdaml_ps_dropped_total", "Connections ended for being slow or too many.",
               stats.dropped);
  page.counter("lambdaml_ps_received_bytes_total", "Bytes of numbers received.",
               stats.bytes_received);
  page.counter("lambdaml_ps_sent_bytes_total", "Bytes of numbers sent.", stats.bytes_sent);
  page.counter("lambdaml_ps_waits_in_vain_total", "Waits that ended with workers missing.",
               stats.waits_in_vain);
  page.counter("lambdaml_ps_snapshots_total", "Models and sums written to the disk.",
               stats.snapshots);
  page.summary("lambdaml_ps_wait_seconds", "Waiting for other workers.", stats.waits,
               stats.wait_ns);
  page.summary("lambdaml_ps_update_seconds", "Adding up and moving models.", stats.updates,
               stats.update_ns);
  return page.text();
}

}  // namespace

struct Metrics::Parts {
  Parts(State& counted, const std::string& host, int port)
      : state(counted), acceptor(loop), pause(loop) {
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

  State& state;
  asio::io_context loop{1};
  tcp::acceptor acceptor;
  asio::steady_timer pause;
  std::list<std::weak_ptr<Session>> sessions;  ///< the oldest first
  std::thread thread;
};

/// One connection with one request. Pending handlers keep it alive.
class Metrics::Parts::Session : public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, State& state) : stream_(std::move(socket)), state_(state) {
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

  void answer() {
    const auto& question = parser_.get();
    const bool is_known = question.target() == "/metrics";
    const bool is_get = question.method() == beast::http::verb::get;
    answer_.version(11);
    answer_.result(!is_get    ? beast::http::status::method_not_allowed
                   : is_known ? beast::http::status::ok
                              : beast::http::status::not_found);
    answer_.set(beast::http::field::content_type, "text/plain; version=0.0.4; charset=utf-8");
    answer_.keep_alive(false);
    if (is_get && is_known) answer_.body() = metrics_page(state_);
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
  State& state_;
};

void Metrics::Parts::accept() {
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
    const auto session = std::make_shared<Session>(std::move(socket), state);
    sessions.push_back(session);
    session->serve();
    accept();
  });
}

Metrics::Metrics(State& state, const std::string& host, int port) {
  try {
    parts_ = std::make_unique<Parts>(state, host, port);
  } catch (const std::exception& error) {
    fail(Code::already_exists,
         "metrics on {}:{}: the port is in use, or the host is not this one ({})", host, port,
         error.what());
  }
}

Metrics::~Metrics() = default;

int Metrics::port() const { return parts_->acceptor.local_endpoint().port(); }

}  // namespace lambdaml::ps
