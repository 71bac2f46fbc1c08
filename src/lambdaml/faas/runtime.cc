#include "lambdaml/faas/runtime.h"

#include <utility>
// Boost 1.74 forgets <utility>.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "lambdaml/base/environment.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/faas/failure.h"
#include "lambdaml/faas/outcome.h"

namespace lambdaml::faas {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

constexpr int kFailedNextCalls = 3;
constexpr std::chrono::seconds kConnectTime(10);
/// Far above any event: bounds the memory that a faulty host can make this process use.
constexpr std::size_t kMaxReplyBytes = 64u << 20;

/// The host's answer.
struct Reply {
  unsigned status = 0;
  std::string body;
  std::string request_id;
  std::string deadline_ms;
  std::string function_arn;
  std::string trace_id;
};

/// One connection to the host, kept open across requests. Uses only sockets and a parser: an HTTP
/// library would take more time at each start than everything else before the first event.
class Client {
 public:
  explicit Client(const std::string& endpoint) {
    const std::size_t slash = std::min(endpoint.find('/'), endpoint.size());
    authority_ = endpoint.substr(0, slash);
    base_ = endpoint.substr(slash) + "/2018-06-01/runtime/";
    const std::size_t colon = authority_.rfind(':');
    const bool has_port = colon != std::string::npos && authority_.back() != ']';
    host_ = authority_.substr(0, has_port ? colon : std::string::npos);
    port_ = has_port ? authority_.substr(colon + 1) : "80";
    if (host_.starts_with('[') && host_.ends_with(']')) host_ = host_.substr(1, host_.size() - 2);
  }

  /// nullopt if the host answered neither on the kept connection nor on a new one; failure() and
  /// refused() then say why.
  std::optional<Reply> get(const std::string& path) { return request("GET", path, {}, {}); }
  std::optional<Reply> post(const std::string& path, std::string_view body,
                            std::string_view error_type = {}) {
    return request("POST", path, body, error_type);
  }

  const std::string& failure() const { return failure_; }
  /// Nothing listens there any more.
  bool refused() const { return refused_; }

 private:
  std::optional<Reply> request(std::string_view method, const std::string& path,
                               std::string_view body, std::string_view error_type) {
    std::string head = fmt::format("{} {}{} HTTP/1.1\r\nHost: {}\r\nAccept: */*\r\n", method, base_,
                                   path, authority_);
    if (method == "POST")
      head += fmt::format("Content-Type: application/json\r\nContent-Length: {}\r\n", body.size());
    if (!error_type.empty())
      head += fmt::format("Lambda-Runtime-Function-Error-Type: {}\r\n", error_type);
    head += "\r\n";
    std::optional<Reply> reply = exchange(head, body);
    if (!reply) reply = exchange(head, body);
    return reply;
  }

  /// Uses the kept connection, or a new one if there is none; a failure closes it.
  std::optional<Reply> exchange(const std::string& head, std::string_view body) {
    refused_ = false;
    failure_.clear();
    boost::system::error_code error;
    if (!socket_.is_open() && !connect()) return std::nullopt;
    const std::array<asio::const_buffer, 2> parts = {asio::buffer(head),
                                                     asio::buffer(body.data(), body.size())};
    // A host that refuses a large body may answer before it has read all of it.
    boost::system::error_code unsent;
    asio::write(socket_, parts, unsent);
    http::response_parser<http::string_body> parser;
    parser.body_limit(kMaxReplyBytes);
    http::read(socket_, buffer_, parser, error);
    if (error) {
      failure_ = unsent ? unsent.message() : error.message();
      close();
      return std::nullopt;
    }
    auto& message = parser.get();
    const auto header = [&](const char* name) { return std::string(message[name]); };
    Reply reply{.status = message.result_int(),
                .body = std::move(message.body()),
                .request_id = header("Lambda-Runtime-Aws-Request-Id"),
                .deadline_ms = header("Lambda-Runtime-Deadline-Ms"),
                .function_arn = header("Lambda-Runtime-Invoked-Function-Arn"),
                .trace_id = header("Lambda-Runtime-Trace-Id")};
    if (unsent || !message.keep_alive()) close();
    return reply;
  }

  bool connect() {
    boost::system::error_code error;
    const auto addresses = asio::ip::tcp::resolver(context_).resolve(host_, port_, error);
    if (error) {
      failure_ = fmt::format("cannot resolve '{}': {}", host_, error.message());
      return false;
    }
    error = asio::error::timed_out;
    asio::async_connect(
        socket_, addresses,
        [&error](const boost::system::error_code& result, const auto&) { error = result; });
    context_.restart();
    context_.run_for(kConnectTime);
    if (!context_.stopped()) {
      close();
      context_.run();
      error = asio::error::timed_out;
    }
    if (error) {
      failure_ = fmt::format("cannot connect to {}: {}", authority_, error.message());
      refused_ = true;
      close();
      return false;
    }
    socket_.set_option(asio::ip::tcp::no_delay(true), error);
    return true;
  }

  void close() {
    boost::system::error_code ignored;
    socket_.close(ignored);
    buffer_.clear();
  }

  std::string authority_, base_, host_, port_;
  asio::io_context context_{1};
  asio::ip::tcp::socket socket_{context_};
  boost::beast::flat_buffer buffer_;
  std::string failure_;
  bool refused_ = false;
};

/// Parses the answer to `next`; nullopt if it is not an event.
std::optional<Invocation> invocation_of(Reply&& reply) {
  if (reply.status != 200 || reply.request_id.empty()) return std::nullopt;
  Invocation invocation;
  invocation.request_id = std::move(reply.request_id);
  invocation.payload = std::move(reply.body);
  invocation.function_arn = std::move(reply.function_arn);
  invocation.trace_id = std::move(reply.trace_id);
  if (const auto milliseconds = to_integer(reply.deadline_ms))
    invocation.deadline = Deadline::at_epoch_ms(*milliseconds);
  return invocation;
}

/// Runs the handler and posts the result. Returns false if the host wants this process to end or
/// has disappeared.
bool handle(Client& client, const Invocation& invocation, const Handler& handler) {
  auto [response, failure] = outcome_of(handler, invocation);
  const std::string path = "invocation/" + invocation.request_id;
  std::optional<Reply> reply;
  if (!failure) {
    reply = client.post(path + "/response", response);
    if (reply && reply->status == 413) failure = too_large(response.size());
  }
  if (failure) reply = client.post(path + "/error", json_of(*failure), failure->type);
  if (!reply) {
    log::warning("cannot report the end of event {}: {}", invocation.request_id, client.failure());
    return !client.refused();
  }
  if (reply->status == 500) return false;
  if (reply->status != 202)
    log::warning("the host answered {} to the end of event {}: {}", reply->status,
                 invocation.request_id, printable(reply->body));
  return true;
}

}  // namespace

void serve(const std::string& endpoint, const Handler& handler) {
  Client client(endpoint);
  bool served = false;
  for (int failed = 0;;) {
    std::optional<Reply> reply = client.get("invocation/next");
    if (!reply && served && client.refused()) return;
    if (reply && reply->status == 500) return;
    std::string why = client.failure();
    if (reply) {
      why = fmt::format("it answered {}: {}", reply->status, printable(reply->body));
      if (const auto invocation = invocation_of(std::move(*reply))) {
        failed = 0;
        served = true;
        if (invocation->trace_id.empty())
          unsetenv("_X_AMZN_TRACE_ID");
        else
          setenv("_X_AMZN_TRACE_ID", invocation->trace_id.c_str(), 1);
        if (!handle(client, *invocation, handler)) return;
        continue;
      }
    }
    if (++failed == kFailedNextCalls)
      fail(Code::unavailable, "cannot get an event from the Runtime API at {}: {} ({} times)",
           endpoint, why, failed);
    pause_for(0.02 * failed);
  }
}

std::optional<int> own_memory_mb() {
  const std::optional<std::string> text = environment_variable("AWS_LAMBDA_FUNCTION_MEMORY_SIZE");
  const std::optional<std::int64_t> megabytes = text ? to_integer(*text) : std::nullopt;
  if (!megabytes || *megabytes <= 0 || *megabytes > std::numeric_limits<int>::max()) return {};
  return static_cast<int>(*megabytes);
}

std::string own_architecture() {
#if defined(__aarch64__)
  return "arm64";
#else
  return "x86_64";
#endif
}

void report_init_error(const std::string& endpoint, const std::exception& error) noexcept {
  try {
    const Failure failure = failure_of(error);
    if (!Client(endpoint).post("init/error", json_of(failure), failure.type))
      log::warning("cannot report to {} that the start failed: {}", endpoint, error.what());
  } catch (...) {
    // The caller is about to end with this error anyway.
  }
}

}  // namespace lambdaml::faas
