#include "lambdaml/faas/http/http_host.h"

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <nlohmann/json.hpp>

#include "lambdaml/base/environment.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/service/token.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/faas/http/http_event.h"
#include "lambdaml/faas/sandbox/http_server.h"
#include "lambdaml/faas/sandbox/loop_thread.h"

namespace lambdaml::faas::http {
namespace {

using sandbox::Exchange;
using sandbox::HttpReply;
using sandbox::HttpRequest;
using sandbox::HttpServer;

constexpr std::uint64_t kMostEventBytes = 64u << 20;
/// Without the token; the answer is 401, but comes late if there were others.
constexpr std::uint64_t kMostForeignBytes = 64u << 10;
/// OpenWhisk reads logs up to this line, which ends those of one activation.
constexpr const char* kEndOfActivation = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX\n";

HttpReply error_reply(int status, std::string_view message) {
  return {status,
          json_text(nlohmann::json{{"error", message}}),
          {{"Content-Type", "application/json"}}};
}

struct Address {
  std::string host;
  std::uint16_t port;
};

Address address() {
  const std::optional<std::string> host = environment_variable("LAMBDAML_HTTP_HOST");
  // Azure's host is a process of the same machine.
  const std::optional<std::string> azure = environment_variable("FUNCTIONS_CUSTOMHANDLER_PORT");
  const std::string text = azure ? *azure : environment_variable("PORT").value_or("");
  const std::optional<std::int64_t> port = to_integer(text);
  if (!port || *port < 0 || *port > 65535)
    fail(Code::invalid_argument, "{}={}: it is no port to listen on; give one from 1 to 65535",
         azure ? "FUNCTIONS_CUSTOMHANDLER_PORT" : "PORT", printable(text, 40));
  return {host.value_or(azure ? "127.0.0.1" : "0.0.0.0"), static_cast<std::uint16_t>(*port)};
}

/// The server on a thread of its own, and the one event in progress on the caller's.
class Host {
 public:
  Host()
      : token_text_(environment_variable("LAMBDAML_HTTP_TOKEN").value_or("")),
        token_(token_text_),
        signals_(loop_, SIGTERM, SIGINT) {
    const Address at = address();
    HttpServer::Limits limits{.body_bytes = kMostEventBytes};
    limits.connections = 128;
    limits.head_s = 30;
    limits.body_s = 300;
    limits.reply_s = 60;
    limits.port = at.port;
    limits.host = at.host;
    limits.clients = {.all_users = true};
    server_ = std::make_unique<HttpServer>(
        loop_, limits,
        HttpServer::Hooks{
            .serve = [this](std::shared_ptr<Exchange> exchange) { take(std::move(exchange)); },
            .too_large =
                [](const HttpRequest&) {
                  return error_reply(413, fmt::format("an event has at most {} bytes",
                                                      human_count(kMostEventBytes)));
                },
            .admit =
                [this](const HttpRequest& head) {
                  const bool is_known =
                      token_text_.empty() || Token::are_equal(bearer(head), token_text_);
                  return HttpServer::Admission{.body_bytes =
                                                   is_known ? kMostEventBytes : kMostForeignBytes};
                }});
    signals_.async_wait([this](const boost::system::error_code& error, int) {
      if (!error) stop();
    });
    log::info("listening on {}:{}", at.host, server_->port());
    thread_.emplace(loop_, "the worker");
  }
  ~Host() {
    boost::asio::post(loop_, [this] {
      signals_.cancel();
      server_->finish();
    });
    thread_.reset();
  }
  Host(const Host&) = delete;

  void run(const Handler& handler) {
    while (const std::optional<Event> event = next()) {
      Outcome outcome = outcome_of(handler, event->invocation);
      if (event->form == Form::activation) {
        for (std::FILE* stream : {stdout, stderr}) {
          std::fputs(kEndOfActivation, stream);
          std::fflush(stream);
        }
      }
      HttpReply reply = reply_of(std::move(outcome), event->form);
      answer(*event, std::move(reply));
    }
  }

 private:
  struct Event {
    std::shared_ptr<Exchange> exchange;
    Form form;
    Invocation invocation;
  };

  // ---- on the caller's thread ----

  /// nullopt once the process must end.
  std::optional<Event> next() {
    std::unique_lock lock(mutex_);
    wait_until(changed_, lock, Deadline::never(), [this] { return event_ || stopping_; });
    return std::exchange(event_, std::nullopt);
  }

  /// Returns when the answer has been handed over, so that a next event finds this process free.
  void answer(const Event& event, HttpReply reply) {
    boost::asio::post(loop_, [this, exchange = event.exchange, reply = std::move(reply)]() mutable {
      busy_ = false;
      if (!exchange->is_open()) log::warning("nobody waits any more for the event's answer");
      exchange->reply(std::move(reply));
    });
  }

  // ---- on the loop's thread ----

  void take(std::shared_ptr<Exchange> exchange) {
    const HttpRequest& request = exchange->request;
    const std::string path = request.target.substr(0, request.target.find('?'));
    if (request.method == "GET" || request.method == "HEAD")
      return exchange->reply({200, "lambdaml-worker\n", {{"Content-Type", "text/plain"}}});
    if (request.method != "POST")
      return exchange->reply(error_reply(405, "events are sent with POST"));
    if (const double pause_s = token_.pause_s(); pause_s > 0) {
      auto timer = std::make_shared<boost::asio::steady_timer>(loop_);
      timer->expires_after(std::chrono::duration_cast<std::chrono::nanoseconds>(
          std::chrono::duration<double>(pause_s)));
      return timer->async_wait([this, timer, exchange, path](const boost::system::error_code&) {
        post(exchange, path);
      });
    }
    post(exchange, path);
  }

  void post(const std::shared_ptr<Exchange>& exchange, const std::string& path) {
    const HttpRequest& request = exchange->request;
    if (!token_.is(bearer(request)))
      return exchange->reply(error_reply(401, "the worker wants its token: Authorization: Bearer"));
    if (path != "/init" && (busy_ || stopping_))
      return exchange->reply({429,
                              "this instance has an event\n",
                              {{"Retry-After", "1"}, {"Content-Type", "text/plain"}}});
    try {
      if (path == "/init") return exchange->reply(initialize(request));
      const Form form = path == "/run" ? Form::activation : Form::plain;
      Event event{exchange, form, invocation_of(request, form)};
      busy_ = true;
      // From now on the environment is read by another thread.
      initialized_ = true;
      const std::lock_guard lock(mutex_);
      event_ = std::move(event);
      changed_.notify_all();
    } catch (const Error& error) {
      log::warning("an event was refused: {}", error.what());
      exchange->reply(error_reply(400, error.what()));
    }
  }

  static std::string_view bearer(const HttpRequest& request) {
    constexpr std::string_view kScheme = "Bearer ";
    const std::string_view given = request.header("Authorization");
    return given.starts_with(kScheme) ? given.substr(kScheme.size()) : "";
  }

  /// The code of an action is this program; its parameters are environment variables.
  HttpReply initialize(const HttpRequest& request) {
    if (initialized_) return error_reply(403, "Cannot initialize the action more than once.");
    const nlohmann::json body = parse_json(request.body);
    if (!body.is_object()) return error_reply(400, "/init: the body is no JSON object");
    initialized_ = true;
    const nlohmann::json variables = body.contains("value") && body["value"].is_object()
                                         ? body["value"].value("env", nlohmann::json::object())
                                         : nlohmann::json::object();
    // No event has begun, so no other thread reads the environment.
    if (variables.is_object())
      for (const auto& [name, value] : variables.items())
        setenv(name.c_str(),
               (value.is_string() ? value.get<std::string>() : json_text(value)).c_str(), 1);
    return {200, R"({"ok":true})", {{"Content-Type", "application/json"}}};
  }

  void stop() {
    log::info("told to end{}", busy_ ? ": after the event in progress" : "");
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }

  boost::asio::io_context loop_{1};
  const std::string token_text_;
  Token token_;
  boost::asio::signal_set signals_;
  std::unique_ptr<HttpServer> server_;
  bool busy_ = false, initialized_ = false;  ///< used by the loop's thread only

  std::mutex mutex_;  ///< guards what follows
  std::condition_variable changed_;
  std::optional<Event> event_;
  bool stopping_ = false;

  std::optional<sandbox::LoopThread> thread_;
};

}  // namespace

bool is_started_by_host() {
  return environment_variable("PORT") || environment_variable("FUNCTIONS_CUSTOMHANDLER_PORT");
}

int serve(const Handler& handler) {
  Host().run(handler);
  return 0;
}

}  // namespace lambdaml::faas::http
