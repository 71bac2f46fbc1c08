#include "lambdaml/faas/http/http_invocations.h"

#include <algorithm>
#include <optional>

#include "lambdaml/aws/wire.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/service/patience.h"
#include "lambdaml/base/text.h"
#include "lambdaml/faas/http/http_event.h"
#include "lambdaml/faas/outcome.h"
#include "lambdaml/faas/watched_invocations.h"

namespace lambdaml::faas::http {
namespace {

using State = EventStatus::State;

constexpr double kLongestWait_s = 0.1;  ///< for answers, so that cancel() is noticed
constexpr double kFirstPause_s = 0.1;   ///< before an event is offered again
constexpr double kLongestPause_s = 2;
/// How long no instance may take an event: cold starts of many instances at once.
constexpr double kStarting_s = 300;
constexpr double kConnect_s = 10;
/// Between two looks at the storage for events whose connection may have been lost unnoticed.
constexpr double kQuery_s = 10;
/// Before a storage that could not be asked is asked again.
constexpr double kSettle_s = 1;
constexpr std::size_t kMostResponseBytes = kMaxResponseBytes + 65'536;

/// What an answer means.
struct Verdict {
  enum class Kind { done, failed, not_taken };
  Kind kind;
  Failure failure = {};
};

Verdict failed(Code code, std::string message) {
  return {Verdict::Kind::failed, {std::string(to_string(code)), std::move(message), {}}};
}
Verdict lost(std::string message) {
  return {Verdict::Kind::failed, {std::string(kExitError), std::move(message), {}}};
}

Verdict verdict_of(const lambdaml::aws::Exchange& exchange) {
  const std::string url = without_query(exchange.url);
  if (!exchange.failure.empty()) {
    const std::string text = fmt::format("{}: {}", url, exchange.failure);
    if (exchange.failure_code != Code::unavailable) return failed(exchange.failure_code, text);
    if (exchange.sent == 0) return {Verdict::Kind::not_taken, {"unavailable", text, {}}};
    return lost(fmt::format("the connection was lost before it had ended: {}", text));
  }
  const int status = exchange.response.status;
  const std::string_view body = exchange.response.body.text();
  if (status == 202)
    return failed(Code::invalid_argument,
                  fmt::format("{} took the event without waiting for its end (202): give the "
                              "function's own URL, not a broker's or an asynchronous one",
                              url));
  if (status >= 200 && status < 300) return {Verdict::Kind::done};
  if (std::optional<Failure> failure = failure_from_json(body))
    return {Verdict::Kind::failed, std::move(*failure)};
  const std::string answer = fmt::format("{} answered {}{}{}", url, status,
                                         body.empty() ? "" : ": ", printable(body, 200));
  if (status == 429 || status == 503)
    return {Verdict::Kind::not_taken, {"unavailable", answer, {}}};
  if (status == 401 || status == 403)
    return failed(Code::permission_denied,
                  answer + "; give a file with the service's token by --url-token-file");
  if (status == 404) return failed(Code::not_found, answer + "; no function is there");
  if (status == 413)
    return failed(Code::resource_exhausted, answer + "; the platform takes no event of that size");
  if (status < 500)
    return failed(Code::invalid_argument, answer + "; --url must name the function itself");
  return lost(fmt::format("ended without an answer of its own: {}", answer));
}

class HttpInvocations : public WatchedInvocations {
 public:
  HttpInvocations(const Function& function, Target target, std::vector<std::string> payloads,
                  FailureObserver observer)
      : WatchedInvocations(payloads.size(), std::move(observer)),
        function_(function),
        target_(std::move(target)),
        wire_({.connect_timeout_s = kConnect_s,
               .patience = std::make_shared<Patience>(PatiencePolicy{
                   .outage_s = 0, .has_answered = true, .slowest_bytes_per_s = 0})}) {
    slots_.reserve(payloads.size());
    for (std::string& payload : payloads) {
      Slot& slot = slots_.emplace_back();
      slot.payload = std::move(payload);
      slot.request_id = new_request_id();
    }
    start_watching([this, cancellation = Cancellation::current()] {
      const Cancellation::Scope scope(cancellation);
      watch();
    });
  }
  ~HttpInvocations() override { cancel(); }

 private:
  /// Used by the watcher only.
  struct Slot {
    /// answered: it worked, says the worker; what the storage says is awaited
    enum class Phase { due, sent, answered, ended };
    std::string payload;
    std::string request_id;
    Phase phase = Phase::due;
    TimePoint send_at = time_now();  ///< answered: when the storage is asked again
    int attempts = 0;                ///< begun, the present one included
    bool is_offer = false;           ///< the present attempt was offered before and not taken
    TimePoint begun_at = {};         ///< the present attempt, when it was offered first
    double pause_s = kFirstPause_s;
    Deadline limit = Deadline::never();
    std::string response;
    lambdaml::aws::Exchange exchange;
  };

  void watch() {
    try {
      while (!board_.is_cancelled() && has_work()) {
        for (std::size_t i = 0; i < slots_.size(); ++i) begin_or_end(i);
        for (lambdaml::aws::Exchange* exchange : wire_.wait(pause_s()))
          on_answer(slot_of(*exchange));
        if (function_.query_status && since_query_.seconds() > kQuery_s) ask_storage();
      }
    } catch (...) {
      // An interrupt ends the watching.
      const Failure why = current_failure();
      if (why.type != to_string(Code::cancelled)) log::error("events by HTTP: {}", why.message);
    }
    wire_.stop_all();
    for (std::size_t i = 0; i < slots_.size(); ++i) board_.end_as_cancelled(i, function_.handler);
  }

  bool has_work() const {
    return std::ranges::any_of(slots_,
                               [](const Slot& slot) { return slot.phase != Slot::Phase::ended; });
  }

  /// Until an answer, the next event to send, or the next limit.
  double pause_s() const {
    Deadline next = Deadline::in(kLongestWait_s);
    for (const Slot& slot : slots_) {
      if (slot.phase == Slot::Phase::due || slot.phase == Slot::Phase::answered)
        next = next.earlier(Deadline::at(slot.send_at));
      if (slot.phase == Slot::Phase::sent) next = next.earlier(slot.limit);
    }
    return next.seconds_left();
  }

  std::size_t slot_of(const lambdaml::aws::Exchange& exchange) const {
    const auto found =
        std::ranges::find_if(slots_, [&](const Slot& slot) { return &slot.exchange == &exchange; });
    return static_cast<std::size_t>(found - slots_.begin());
  }

  void begin_or_end(std::size_t event) {
    Slot& slot = slots_[event];
    if (slot.phase == Slot::Phase::due && time_now() >= slot.send_at) send(event);
    if (slot.phase == Slot::Phase::answered && time_now() >= slot.send_at) settle(event);
    if (slot.phase != Slot::Phase::sent || !slot.limit.passed()) return;
    wire_.stop(slot.exchange);
    fail_attempt(
        event,
        {std::string(kTimedOut), fmt::format("timed out after {:g} s", function_.timeout_s), {}});
  }

  void send(std::size_t event) {
    Slot& slot = slots_[event];
    if (!slot.is_offer) {
      ++slot.attempts;
      slot.begun_at = time_now();
      slot.pause_s = kFirstPause_s;
      EventStatus status = board_.at(event);
      status.state = State::running;
      status.attempts = slot.attempts;
      board_.set(event, std::move(status));
    }
    slot.limit = Deadline::in(function_.timeout_s);
    const auto deadline_ms =
        epoch_ms() + static_cast<std::int64_t>(1000 * std::min(function_.timeout_s, 1e9));
    slot.exchange = {};
    slot.exchange.method = "POST";
    slot.exchange.url = target_.urls[event % target_.urls.size()];
    slot.exchange.headers = {
        {"content-type", "application/json"},
        {"ce-specversion", "1.0"},
        {"ce-id", slot.request_id},
        {"ce-source", "lambdaml"},
        {"ce-type", "lambdaml." + function_.handler},
        {std::string("ce-") + kDeadlineAttribute, std::to_string(deadline_ms)}};
    if (!target_.token.empty())
      slot.exchange.headers.emplace_back("authorization", "Bearer " + target_.token);
    slot.exchange.body = as_bytes(slot.payload);
    slot.exchange.most_bytes = kMostResponseBytes;
    slot.phase = Slot::Phase::sent;
    wire_.start(slot.exchange);
  }

  void on_answer(std::size_t event) {
    Slot& slot = slots_[event];
    Verdict verdict = verdict_of(slot.exchange);
    switch (verdict.kind) {
      case Verdict::Kind::done:
        return succeed(event, std::string(slot.exchange.response.body.text()));
      case Verdict::Kind::failed:
        return fail_attempt(event, std::move(verdict.failure));
      case Verdict::Kind::not_taken:
        return offer_again(event, std::move(verdict.failure));
    }
  }

  void offer_again(std::size_t event, Failure why) {
    Slot& slot = slots_[event];
    const double offered_s = std::chrono::duration<double>(time_now() - slot.begun_at).count();
    // Nothing listens there: that takes no cold start.
    const double limit_s =
        slot.exchange.failure.empty() ? kStarting_s : PatiencePolicy::standard().outage_s;
    if (offered_s > limit_s) {
      why.message = fmt::format("no instance took it for {:.0f} s: {}", offered_s, why.message);
      return fail_attempt(event, std::move(why));
    }
    slot.is_offer = true;
    wait(slot, slot.pause_s);
    slot.pause_s = std::min(1.5 * slot.pause_s, kLongestPause_s);
  }

  static void wait(Slot& slot, double seconds) {
    slot.phase = Slot::Phase::due;
    slot.send_at = Deadline::in(seconds).time();
  }

  void succeed(std::size_t event, std::string response) {
    Slot& slot = slots_[event];
    if (function_.goes_on && function_.goes_on(response)) {
      slot.attempts = 0;
      slot.is_offer = false;
      slot.request_id = new_request_id();
      return wait(slot, 0);
    }
    slot.phase = Slot::Phase::answered;
    slot.response = std::move(response);
    settle(event);
  }

  /// A worker may answer and still have failed: the storage then has the reason.
  void settle(std::size_t event) {
    if (!take_from_storage({event})) {
      slots_[event].send_at = Deadline::in(kSettle_s).time();
      return;
    }
    if (slots_[event].phase == Slot::Phase::ended) return;
    EventStatus status = board_.at(event);
    status.state = State::succeeded;
    status.attempts = slots_[event].attempts;
    status.response = std::move(slots_[event].response);
    end(event, std::move(status));
  }

  void fail_attempt(std::size_t event, Failure why) {
    Slot& slot = slots_[event];
    const bool retry = slot.attempts <= function_.retries && function_.worth_a_retry(why.type);
    EventStatus status = board_.at(event);
    status.state = retry ? State::waiting : State::failed;
    status.attempts = slot.attempts;
    status.error_type = std::move(why.type);
    status.error_message = fmt::format("{} {}: {}", function_.handler, event, why.message);
    // Nothing tells whether an instance without a connection has ended.
    status.may_still_run =
        !retry && (status.error_type == kExitError || status.error_type == kTimedOut);
    board_.report(event, status, retry);
    if (!retry) return end(event, std::move(status));
    board_.set(event, std::move(status));
    slot.is_offer = false;
    wait(slot, retry_pause_s(function_.retry_delay_s, slot.attempts));
  }

  void end(std::size_t event, EventStatus status) {
    slots_[event].phase = Slot::Phase::ended;
    board_.set(event, std::move(status));
  }

  void ask_storage() {
    since_query_ = Stopwatch();
    std::vector<std::size_t> sent;
    for (std::size_t i = 0; i < slots_.size(); ++i)
      if (slots_[i].phase == Slot::Phase::sent) sent.push_back(i);
    take_from_storage(sent);
  }

  /// Ends the events whose end the storage has; false if it could not be asked.
  bool take_from_storage(const std::vector<std::size_t>& events) {
    auto told = told_by_storage(function_, events);
    if (!told) return false;
    auto& found = *told;
    for (std::size_t i = 0; i < events.size(); ++i) {
      if (!found[i] || (found[i]->state != State::succeeded && found[i]->state != State::failed))
        continue;
      wire_.stop(slots_[events[i]].exchange);
      found[i]->attempts = slots_[events[i]].attempts;
      if (found[i]->state == State::failed) board_.report(events[i], *found[i], false);
      end(events[i], std::move(*found[i]));
    }
    return true;
  }

  const Function function_;
  const Target target_;
  lambdaml::aws::Wire wire_;
  std::vector<Slot> slots_;
  Stopwatch since_query_;
};

}  // namespace

std::string without_query(const std::string& url) { return url.substr(0, url.find('?')); }

std::vector<std::string> urls_of(const std::string& list) {
  std::vector<std::string> urls;
  for (const std::string& url : split(list, ',')) {
    const std::string text(trim(url));
    const bool is_http = text.starts_with("http://") || text.starts_with("https://");
    const std::string host = is_http ? text.substr(text.find("://") + 3) : "";
    if (host.empty() || host.starts_with('/'))
      fail(
          Code::invalid_argument,
          "--url {}: it must be the function's http:// or https:// address, or several with commas",
          printable(text));
    if (host.substr(0, host.find('/')).find('@') != std::string::npos)
      fail(Code::invalid_argument,
           "--url: a password in it would be stored with the job; use --url-token-file");
    urls.push_back(text);
  }
  return urls;
}

std::unique_ptr<Invocations> invoke_by_http(const Function& function, Target target,
                                            std::vector<std::string> payloads,
                                            FailureObserver observer) {
  return std::make_unique<HttpInvocations>(function, std::move(target), std::move(payloads),
                                           std::move(observer));
}

}  // namespace lambdaml::faas::http
