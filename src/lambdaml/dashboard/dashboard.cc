#include "lambdaml/dashboard/dashboard.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <list>
#include <optional>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/dashboard/access.h"
#include "lambdaml/dashboard/board.h"
#include "lambdaml/dashboard/logs.h"
#include "lambdaml/dashboard/metrics.h"
#include "lambdaml/dashboard/pages.h"
#include "lambdaml/dashboard/requests.h"
#include "lambdaml/dashboard/resumed.h"
#include "lambdaml/dashboard/watcher.h"
#include "lambdaml/faas/sandbox/loop_thread.h"
#include "lambdaml/report/document.h"
#include "lambdaml/report/page.h"
#include "lambdaml/tune/orders.h"
#include "lambdaml/tune/search_folder.h"
#include "lambdaml/view/job_view.h"

// One thread runs the loop: it accepts requests, answers what is in memory, and sends the events.
// A watcher per place (watcher.h) reads what is shown and puts it on the board. What has to read a
// run for one request (its report, its log) or acts on it runs in a small pool. Once a second the
// loop takes what changed from the board and sends the same bytes to every page: so the cost of
// reading does not depend on the number of pages, nor the cost of a page on what it shows.
namespace lambdaml::dashboard {
namespace {

namespace asio = boost::asio;
using faas::sandbox::Exchange;
using faas::sandbox::HttpReply;
using faas::sandbox::HttpRequest;
using faas::sandbox::HttpServer;

constexpr std::chrono::seconds kTick{1};
/// A comment keeps proxies, and the reader's patience, from ending a stream without news.
constexpr int kTicksUntilSign = 15;
constexpr std::size_t kMostPages = 256;
/// How long a question for the present state waits until everything was read.
constexpr double kFresh_s = 5;

HttpServer::Limits limits_for(const Settings& settings) {
  HttpServer::Limits limits{.body_bytes = 16 << 10};
  limits.connections = 2 * kMostPages;
  limits.waiting = kMostPages;
  limits.head_s = limits.body_s = 10;
  limits.reply_s = 30;
  limits.port = settings.port;
  if (!settings.host.empty()) limits.host = settings.host;
  limits.clients = {.all_users = !settings.token.empty(), .own_pages = true};
  return limits;
}

std::shared_ptr<const std::string> event(const char* name, const std::string& data) {
  return std::make_shared<const std::string>(fmt::format("event: {}\ndata: {}\n\n", name, data));
}

}  // namespace

class Dashboard::Server {
 public:
  explicit Server(const Settings& settings)
      : resumed_(settings.program),
        page_(main_page()),
        http_(std::in_place, loop_, limits_for(settings),
              HttpServer::Hooks{
                  .serve = [this](std::shared_ptr<Exchange> exchange) { serve(exchange); },
                  .too_large = [](const HttpRequest&) { return error_reply(413, "too large"); },
                  .refused =
                      [](const HttpReply& refusal) {
                        return error_reply(refusal.status,
                                           text_at(parse_json(refusal.body), "Message"));
                      }}),
        port_(http_->port()),
        access_(settings.token, port_) {
    for (const std::string& place : settings.places)
      watchers_.push_back(std::make_unique<Watcher>(place, board_));
    tick();
    thread_.emplace(loop_, "the dashboard");
  }

  ~Server() {
    asio::post(loop_, [this] {
      // What the pages see last.
      send_news();
      for (const auto& stream : streams_) stream->send(event("end", "{}"));
      streams_.clear();
      timer_.cancel();
      http_->close();
    });
    ending_.cancel();
    watchers_.clear();
    pool_.join();
    asio::post(loop_, [this] { loop_.stop(); });
    thread_.reset();
  }

  std::uint16_t port() const { return port_; }

 private:
  using Shared = std::shared_ptr<Exchange>;

  void tick() {
    timer_.expires_after(kTick);
    timer_.async_wait([this](boost::system::error_code error) {
      if (error) return;
      for (const Resumed::End& end : resumed_.ended())
        if (!end.error.empty()) board_.amend(end.id, {{"error", "resuming failed: " + end.error}});
      send_news();
      tick();
    });
  }

  void send_news() {
    streams_.remove_if([](const auto& stream) { return !stream->is_open(); });
    if (!streams_.empty()) board_.look();
    const std::string news = board_.news();
    std::shared_ptr<const std::string> message;
    if (!news.empty()) {
      message = event("news", news);
      silent_ticks_ = 0;
    } else if (++silent_ticks_ >= kTicksUntilSign) {
      message = std::make_shared<const std::string>(":\n\n");
      silent_ticks_ = 0;
    }
    if (message)
      for (const auto& stream : streams_) stream->send(message);
  }

  void serve(const Shared& exchange) {
    if (!access_.is_wanted() || access_.has_cookie(exchange->request)) return route(exchange);
    const Target target = target_of(exchange->request.target);
    const bool is_login = target.path == "/login" && exchange->request.method == "POST";
    const std::string guess(is_login ? Access::token_of_form(exchange->request.body)
                                     : Access::bearer(exchange->request));
    if (guess.empty() && !is_login) return refuse(exchange, "");
    const auto check = [this, exchange, is_login, guess] {
      if (!access_.is_token(guess)) return refuse(exchange, "This is not the server's token.");
      if (!is_login) return route(exchange);
      HttpReply reply = reply_with(303, "text/plain", "");
      reply.headers.emplace_back("Location", "/");
      reply.headers.emplace_back("Set-Cookie", access_.set_cookie());
      exchange->reply(std::move(reply));
    };
    const double pause_s = access_.pause_s();
    if (pause_s == 0) return check();
    const auto timer = std::make_shared<asio::steady_timer>(
        loop_, std::chrono::milliseconds(static_cast<int>(1000 * pause_s)));
    timer->async_wait([timer, check](boost::system::error_code) { check(); });
  }

  static void refuse(const Shared& exchange, const std::string& message) {
    const std::string path = target_of(exchange->request.target).path;
    HttpReply reply = path == "/" || path == "/login"
                          ? page_reply(401, login_page(message))
                          : error_reply(401, message.empty() ? "this server wants a token: send "
                                                               "Authorization: Bearer TOKEN"
                                                             : message);
    reply.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"lambdaml\"");
    exchange->reply(std::move(reply));
  }

  void route(const Shared& exchange) {
    const Target target = target_of(exchange->request.target);
    struct Route {
      const char* method;
      const char* path;
      void (Server::*serve)(const Shared&, const Target&);
    };
    static constexpr Route kRoutes[] = {{"GET", "/", &Server::show_page},
                                        {"GET", "/events.js", &Server::show_worker},
                                        {"GET", "/api/events", &Server::begin_events},
                                        {"GET", "/api/jobs", &Server::list_jobs},
                                        {"GET", "/metrics", &Server::show_metrics},
                                        {"GET", "/api/item", &Server::show_item},
                                        {"GET", "/report", &Server::show_report},
                                        {"GET", "/api/log", &Server::show_log},
                                        {"POST", "/api/stop", &Server::stop},
                                        {"POST", "/api/resume", &Server::resume}};
    bool is_known = false;
    for (const Route& known : kRoutes) {
      if (target.path != known.path) continue;
      is_known = true;
      if (exchange->request.method == known.method) return (this->*known.serve)(exchange, target);
    }
    if (is_known) return exchange->reply(error_reply(405, "this is not done that way"));
    if (target.path == "/login") return show_page(exchange, target);
    exchange->reply(error_reply(404, "there is no such page: the dashboard is at /"));
  }

  void show_page(const Shared& exchange, const Target&) { exchange->reply(page_reply(200, page_)); }

  void show_worker(const Shared& exchange, const Target&) {
    HttpReply reply = page_reply(200, worker_script());
    reply.headers.front().second = "text/javascript; charset=utf-8";
    exchange->reply(std::move(reply));
  }

  void begin_events(const Shared& exchange, const Target&) {
    if (streams_.size() >= kMostPages)
      return exchange->reply(error_reply(503, "too many pages are open"));
    const auto stream = exchange->stream(reply_with(200, "text/event-stream", ""));
    if (!stream) return;
    board_.look();
    for (const auto& watcher : watchers_) watcher->wake();
    stream->send(std::make_shared<const std::string>("retry: 1000\n\n"));
    stream->send(event("all", board_.all()));
    streams_.push_back(stream);
  }

  /// Runs `work` in the pool, and answers with what it returns or throws.
  void in_pool(const Shared& exchange, std::function<HttpReply()> work) {
    asio::post(pool_, [this, waiting = exchange, work = std::move(work)]() mutable {
      const Cancellation::Scope scope(&ending_);
      HttpReply reply;
      try {
        reply = work();
      } catch (const std::exception& error) {
        reply = reply_for(error);
      }
      // The exchange belongs to the loop, where it also has to end.
      asio::post(loop_, [waiting = std::move(waiting), reply = std::move(reply)]() mutable {
        waiting->reply(std::move(reply));
      });
    });
  }

  /// Waits until every place was read after now, or for some seconds.
  void refresh() {
    board_.look();
    const Deadline end = Deadline::in(kFresh_s);
    std::vector<std::uint64_t> before;
    for (const auto& watcher : watchers_) before.push_back(watcher->wake());
    for (std::size_t i = 0; i < watchers_.size(); ++i) watchers_[i]->wait_for(before[i], end);
  }

  void list_jobs(const Shared& exchange, const Target&) {
    in_pool(exchange, [this] {
      refresh();
      return json_reply(200, board_.all());
    });
  }

  void show_metrics(const Shared& exchange, const Target&) {
    const MetricsText::Format format = MetricsText::format_for(exchange->request.header("Accept"));
    in_pool(exchange, [this, format] {
      refresh();
      return reply_with(200, MetricsText::content_type(format),
                        metrics_of(board_.rows()).text(format));
    });
  }

  Place place_of(const Target& target) const {
    if (const std::optional<Place> place = board_.find(target.at("id"))) return *place;
    fail(Code::not_found,
         "nothing with this id is shown here: it was removed, or the server was "
         "started again and has not read it yet");
  }

  void show_item(const Shared& exchange, const Target& target) {
    in_pool(exchange, [this, target] {
      const Place place = place_of(target);
      nlohmann::ordered_json document =
          report::document_of(std::span(&place.where, 1), {.data = "", .measures = false});
      return json_reply(200, json_text(document));
    });
  }

  void show_report(const Shared& exchange, const Target& target) {
    in_pool(exchange, [this, target] {
      const Place place = place_of(target);
      return page_reply(200, report::page_of(report::document_of(std::span(&place.where, 1), {})));
    });
  }

  void show_log(const Shared& exchange, const Target& target) {
    in_pool(exchange, [this, target] {
      const Place place = place_of(target);
      if (place.kind == Place::Kind::search)
        fail(Code::invalid_argument, "a search has no log of its own: its trials have");
      std::optional<std::uint32_t> worker;
      if (const std::string& wanted = target.at("worker"); !wanted.empty()) {
        const std::optional<std::int64_t> number = to_integer(wanted);
        if (!number || *number < 0 || *number > 1'000'000)
          fail(Code::invalid_argument, "worker '{}': it is a number", printable(wanted));
        worker = static_cast<std::uint32_t>(*number);
      }
      return json_reply(200, json_text(logs_of(place.where, worker, target.at("search"))));
    });
  }

  void stop(const Shared& exchange, const Target& target) {
    in_pool(exchange, [this, target] {
      const Place place = place_of(target);
      if (place.kind == Place::Kind::search) {
        tune::Records records(tune::records_uri_of(place.where));
        tune::request_stop(records);
      } else {
        view::JobView::open(place.where).stop();
      }
      board_.amend(target.at("id"), {{"stopping", true}});
      return json_reply(200, R"({"state":"stopping"})");
    });
  }

  void resume(const Shared& exchange, const Target& target) {
    in_pool(exchange, [this, target] {
      resumed_.start(place_of(target), target.at("id"));
      board_.amend(target.at("id"), {{"resuming", true}});
      return json_reply(200, R"({"state":"resuming"})");
    });
  }

  Cancellation ending_;  ///< of what the pool does
  Board board_;
  Resumed resumed_;
  const std::string page_;
  asio::io_context loop_{1};
  asio::thread_pool pool_{3};
  asio::steady_timer timer_{loop_};
  std::list<std::shared_ptr<faas::sandbox::ReplyStream>> streams_;
  int silent_ticks_ = 0;
  std::optional<HttpServer> http_;
  const std::uint16_t port_;
  Access access_;
  std::vector<std::unique_ptr<Watcher>> watchers_;
  std::optional<faas::sandbox::LoopThread> thread_;
};

Dashboard::Dashboard(const Settings& settings) {
  if (settings.token.empty() && !settings.host.empty() && settings.host != "127.0.0.1")
    fail(Code::invalid_argument,
         "--host {}: give it a --token too: without one a dashboard serves this user alone, at "
         "127.0.0.1",
         settings.host);
  server_ = std::make_unique<Server>(settings);
}

Dashboard::~Dashboard() = default;

std::uint16_t Dashboard::port() const { return server_->port(); }

}  // namespace lambdaml::dashboard
