#include "lambdaml/aws/client.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <exception>

#include "lambdaml/aws/credentials.h"
#include "lambdaml/aws/diagnosis.h"
#include "lambdaml/aws/environment.h"
#include "lambdaml/aws/pace.h"
#include "lambdaml/aws/sigv4.h"
#include "lambdaml/aws/wire.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/service/backoff.h"
#include "lambdaml/base/wait.h"

namespace lambdaml::aws {
namespace {

using std::chrono::system_clock;

/// A Date that differs by more than a century is not from a clock.
constexpr std::int64_t kFarthestClock_s = 100LL * 366 * 24 * 3600;

TimePoint::duration seconds(double s) {
  return std::chrono::duration_cast<TimePoint::duration>(std::chrono::duration<double>(s));
}

Verdict by_status(const Response& response) {
  const int status = response.status;
  return status == 429 || status == 500 || (status >= 502 && status <= 504) ? Verdict::again
                                                                            : Verdict::answer;
}

bool writes(const Request& request) { return request.method != "GET" && request.method != "HEAD"; }

/// A request with its retries.
struct PendingRequest {
  PendingRequest(const Request& sent, const ClientOptions& options)
      : request(&sent), backoff(options.first_pause_s, options.longest_pause_s) {}

  const Request* request;
  Exchange exchange;
  std::string payload_hash;
  Credentials credentials;  ///< of the last attempt
  int attempts = 0;
  int counted = 0;  ///< of exchange.sent
  Backoff backoff;
  TimePoint sent_at{}, not_before{};
  bool has_place = false;  ///< in the pace, at not_before
  bool renewed = false, clock_set = false;
  std::exception_ptr failure;
};

}  // namespace

class Client::Impl {
 public:
  explicit Impl(ClientOptions options)
      : options_(std::move(options)),
        place_(find_place(options_.service, options_.region, options_.endpoint)),
        url_(place_.endpoint.url()),
        signer_(options_.service, place_.region, options_.token_header),
        patience_(options_.patience ? options_.patience : std::make_shared<Patience>()),
        wires_({.connect_timeout_s = options_.connect_timeout_s, .patience = patience_}),
        credentials_(options_.credentials ? options_.credentials
                                          : std::make_shared<CredentialsSource>()) {}

  std::vector<Response> call_all(std::span<const Request> requests, std::string_view what,
                                 Deadline deadline) {
    std::deque<PendingRequest> all;
    std::deque<PendingRequest*> waiting;
    for (const Request& request : requests) waiting.push_back(&all.emplace_back(request, options_));
    run(waiting, what, deadline);
    std::vector<Response> responses;
    responses.reserve(all.size());
    for (PendingRequest& pending : all) {
      if (pending.failure) std::rethrow_exception(pending.failure);
      responses.push_back(std::move(pending.exchange.response));
    }
    return responses;
  }

  const ClientOptions& options() const { return options_; }
  const Place& place() const { return place_; }
  const std::string& url() const { return url_; }
  std::uint64_t sent() const { return sent_; }

 private:
  void run(std::deque<PendingRequest*>& waiting, std::string_view what, Deadline deadline) {
    if (waiting.empty()) return;
    WirePool::Lease wire = wires_.take();
    std::vector<PendingRequest*> active;
    while (!waiting.empty() || !active.empty()) {
      if (deadline.passed()) {
        const auto is_late = [](const PendingRequest* pending) { return !pending->exchange.begun; };
        for (PendingRequest* pending : active)
          if (is_late(pending)) {
            wire->stop(pending->exchange);
            count_sent(*pending);
            waiting.push_back(pending);
          }
        std::erase_if(active, is_late);
        for (PendingRequest* pending : waiting)
          set_failure(
              *pending, Code::deadline_exceeded, what,
              pending->exchange.failure.empty() ? "no answer in time" : pending->exchange.failure);
        waiting.clear();
      }
      const TimePoint now = time_now();
      TimePoint next = now + std::chrono::seconds(10);
      for (std::size_t i = 0; i < waiting.size() && active.size() < options_.in_flight;) {
        PendingRequest* pending = waiting[i];
        if (pending->not_before > now) {
          next = std::min(next, pending->not_before);
          if (pending->has_place) break;  // later ones get later places
          ++i;
          continue;
        }
        if (options_.pace && !std::exchange(pending->has_place, true)) {
          pending->not_before = options_.pace->reserve(writes(*pending->request));
          if (pending->not_before > time_now()) continue;
        }
        waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(i));
        try {
          send(*pending, *wire);
          active.push_back(pending);
        } catch (const std::exception&) {
          pending->failure = std::current_exception();
        }
      }
      const Deadline until = deadline.earlier(Deadline::at(next));
      if (active.empty()) {
        if (!waiting.empty()) sleep_until(until);
        continue;
      }
      for (const Exchange* exchange : wire->wait(until.seconds_left())) {
        const auto at = std::ranges::find_if(
            active, [&](const PendingRequest* pending) { return &pending->exchange == exchange; });
        PendingRequest* pending = *at;
        active.erase(at);
        if (!settle(*pending, what)) waiting.push_back(pending);
      }
    }
  }

  void send(PendingRequest& pending, Wire& wire) {
    const Request& request = *pending.request;
    const std::string query = encode_query(request.query);
    const std::string authority = place_.endpoint.authority(request.host);
    if (pending.payload_hash.empty())
      pending.payload_hash = is_s3(options_.service) && place_.endpoint.tls
                                 ? std::string(kUnsignedPayload)
                                 : sha256_hex(request.body);
    if (!options_.anonymous) pending.credentials = credentials_->get();
    Exchange& exchange = pending.exchange;
    exchange.method = request.method;
    exchange.url = fmt::format("{}://{}{}{}{}", place_.endpoint.tls ? "https" : "http", authority,
                               request.path, query.empty() ? "" : "?", query);
    exchange.headers = request.headers;
    exchange.headers.emplace_back("host", authority);
    exchange.body = request.body;
    exchange.into = request.into;
    exchange.most_bytes = request.most_bytes;
    if (!options_.anonymous) {
      Headers added = signer_.sign(
          {request.method, request.path, query, exchange.headers, pending.payload_hash},
          pending.credentials, wall_now() + clock_offset());
      std::ranges::move(added, std::back_inserter(exchange.headers));
    }
    ++pending.attempts;
    pending.has_place = false;
    pending.sent_at = time_now();
    wire.start(exchange);
  }

  /// Whether the request has ended, with an answer or a failure; otherwise it must be sent again.
  bool settle(PendingRequest& pending, std::string_view what) {
    count_sent(pending);
    Exchange& exchange = pending.exchange;
    try {
      if (!exchange.failure.empty()) {
        if (exchange.failure_code == Code::unavailable && pause(pending)) {
          log::debug("{}: {}: attempt {}: {}", url_, what, pending.attempts, exchange.failure);
          return false;
        }
        set_failure(pending, exchange.failure_code, what, exchange.failure);
        return true;
      }
      switch (options_.judge ? options_.judge(exchange.response) : by_status(exchange.response)) {
        case Verdict::answer:
          patience_->answered();
          if (options_.pace) options_.pace->taken();
          return true;
        case Verdict::slow_down:
          if (const std::optional<double> pause_s =
                  options_.pace ? options_.pace->refused(pending.sent_at) : std::nullopt) {
            patience_->failed(pending.sent_at);
            --pending.attempts;
            pending.not_before = time_now() + seconds(*pause_s);
            return false;
          }
          [[fallthrough]];
        case Verdict::again:
          patience_->failed(pending.sent_at);
          if (pause(pending)) {
            log::debug("{}: {}: attempt {}: {}", url_, what, pending.attempts,
                       explain(exchange.response));
            return false;
          }
          set_failure(pending, Code::unavailable, what, explain(exchange.response));
          return true;
        case Verdict::credentials:
          if (options_.anonymous || std::exchange(pending.renewed, true)) return true;
          return credentials_->renew(pending.credentials) == pending.credentials;
        case Verdict::clock:
          if (std::exchange(pending.clock_set, true)) return true;
          return !set_clock(exchange.response);
      }
    } catch (const std::exception&) {
      pending.failure = std::current_exception();
    }
    return true;
  }

  /// Schedules the next try; false if there is no time for one: then the last cause is reported,
  /// which says more than that the time is over.
  bool pause(PendingRequest& pending) const {
    if (pending.attempts >= options_.attempts || patience_->is_given_up()) return false;
    const TimePoint next = time_now() + seconds(pending.backoff.next_s());
    if (next >= Patience::Try(*patience_).deadline().time()) return false;
    pending.not_before = next;
    return true;
  }

  void set_failure(PendingRequest& pending, Code code, std::string_view what,
                   std::string_view why) const {
    const std::string tries =
        pending.attempts > 1 ? fmt::format(" ({} attempts)", pending.attempts) : std::string();
    pending.failure =
        std::make_exception_ptr(Error(code, fmt::format("{}: {}: {}{}", url_, what, why, tries)));
  }

  std::string explain(const Response& response) const {
    return options_.explain ? options_.explain(response) : fmt::format("HTTP {}", response.status);
  }

  void count_sent(PendingRequest& pending) {
    const int before = pending.counted;
    pending.counted = pending.exchange.sent;
    sent_ += static_cast<std::uint64_t>(pending.counted - before);
    if (options_.on_sent)
      for (int i = before; i < pending.counted; ++i) options_.on_sent(*pending.request);
  }

  system_clock::duration clock_offset() const { return std::chrono::seconds(clock_offset_s_); }

  /// Uses the answer's Date as the time; false if it has none.
  bool set_clock(const Response& response) {
    const std::optional<std::int64_t> date = parse_date(response.header("date"));
    if (!date) return false;
    const std::int64_t offset = *date - system_clock::to_time_t(wall_now());
    if (std::abs(offset) > kFarthestClock_s) return false;
    note_clock_offset(offset);
    if (clock_offset_s_.exchange(offset) != offset)
      log::warning("the clock of {1} is {0} s ahead of this machine's: signing by it", offset,
                   url_);
    return true;
  }

  ClientOptions options_;
  Place place_;
  std::string url_;
  Signer signer_;
  std::shared_ptr<Patience> patience_;
  WirePool wires_;
  std::shared_ptr<CredentialsProvider> credentials_;
  std::atomic<std::int64_t> clock_offset_s_{0};
  std::atomic<std::uint64_t> sent_{0};
};

Client::Client(ClientOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Client::~Client() = default;

Response Client::call(const Request& request, std::string_view what, Deadline deadline) {
  return std::move(call_all({&request, 1}, what, deadline).front());
}
std::vector<Response> Client::call_all(std::span<const Request> requests, std::string_view what,
                                       Deadline deadline) {
  return impl_->call_all(requests, what, deadline);
}
const std::string& Client::region() const { return impl_->place().region; }
const std::string& Client::endpoint() const { return impl_->url(); }
bool Client::is_custom() const { return impl_->place().endpoint.custom; }
const std::string& Client::host() const { return impl_->place().endpoint.host; }
bool Client::uses_tls() const { return impl_->place().endpoint.tls; }
std::uint64_t Client::sent() const { return impl_->sent(); }

}  // namespace lambdaml::aws
