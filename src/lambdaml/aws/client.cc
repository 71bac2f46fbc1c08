#include "lambdaml/aws/client.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <exception>

#include "lambdaml/aws/credentials.h"
#include "lambdaml/aws/environment.h"
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

/// A request with its retries.
struct Task {
  const Request* request = nullptr;
  Exchange exchange;
  std::string payload_hash;
  Credentials credentials;  ///< of the last try
  int attempts = 0;
  int counted = 0;  ///< of exchange.sent
  double pause_s = 0;
  TimePoint sent_at{}, not_before{};
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
        signer_(options_.service, place_.region),
        patience_(options_.patience ? options_.patience : std::make_shared<Patience>()),
        wires_({.connect_timeout_s = options_.connect_timeout_s, .patience = patience_}) {}

  std::vector<Response> call_all(std::span<const Request> requests, std::string_view what,
                                 Deadline deadline) {
    std::deque<Task> tasks(requests.size());
    std::deque<Task*> waiting;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      tasks[i].request = &requests[i];
      tasks[i].pause_s = options_.first_pause_s;
      waiting.push_back(&tasks[i]);
    }
    run(waiting, what, deadline);
    std::vector<Response> responses;
    responses.reserve(tasks.size());
    for (Task& task : tasks) {
      if (task.failure) std::rethrow_exception(task.failure);
      responses.push_back(std::move(task.exchange.response));
    }
    return responses;
  }

  const ClientOptions& options() const { return options_; }
  const Place& place() const { return place_; }
  const std::string& url() const { return url_; }
  std::uint64_t sent() const { return sent_; }

 private:
  void run(std::deque<Task*>& waiting, std::string_view what, Deadline deadline) {
    if (waiting.empty()) return;
    WirePool::Lease wire = wires_.take();
    std::vector<Task*> active;
    while (!waiting.empty() || !active.empty()) {
      if (deadline.passed()) {
        const auto is_late = [](const Task* task) { return !task->exchange.begun; };
        for (Task* task : active)
          if (is_late(task)) {
            wire->stop(task->exchange);
            count_sent(*task);
            waiting.push_back(task);
          }
        std::erase_if(active, is_late);
        for (Task* task : waiting)
          set_failure(
              *task, Code::deadline_exceeded, what,
              task->exchange.failure.empty() ? "no answer in time" : task->exchange.failure);
        waiting.clear();
      }
      const TimePoint now = time_now();
      TimePoint next = now + std::chrono::seconds(10);
      for (std::size_t i = 0; i < waiting.size() && active.size() < options_.in_flight;) {
        Task* task = waiting[i];
        if (task->not_before > now) {
          next = std::min(next, task->not_before);
          ++i;
          continue;
        }
        waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(i));
        try {
          send(*task, *wire);
          active.push_back(task);
        } catch (const std::exception&) {
          task->failure = std::current_exception();
        }
      }
      const Deadline until = deadline.earlier(Deadline::at(next));
      if (active.empty()) {
        if (!waiting.empty()) sleep_until(until);
        continue;
      }
      for (const Exchange* exchange : wire->wait(until.seconds_left())) {
        const auto at = std::ranges::find_if(
            active, [&](const Task* task) { return &task->exchange == exchange; });
        Task* task = *at;
        active.erase(at);
        if (!settle(*task, what)) waiting.push_back(task);
      }
    }
  }

  void send(Task& task, Wire& wire) {
    const Request& request = *task.request;
    const std::string query = encode_query(request.query);
    const std::string authority = place_.endpoint.authority(request.host);
    if (task.payload_hash.empty())
      task.payload_hash = options_.service == "s3" && place_.endpoint.tls
                              ? std::string(kUnsignedPayload)
                              : sha256_hex(request.body);
    task.credentials = credentials_.get();
    Exchange& exchange = task.exchange;
    exchange.method = request.method;
    exchange.url = fmt::format("{}://{}{}{}{}", place_.endpoint.tls ? "https" : "http", authority,
                               request.path, query.empty() ? "" : "?", query);
    exchange.headers = request.headers;
    exchange.headers.emplace_back("host", authority);
    exchange.body = request.body;
    exchange.into = request.into;
    exchange.most_bytes = request.most_bytes;
    Headers added =
        signer_.sign({request.method, request.path, query, exchange.headers, task.payload_hash},
                     task.credentials, wall_now() + clock_offset());
    std::ranges::move(added, std::back_inserter(exchange.headers));
    ++task.attempts;
    task.sent_at = time_now();
    wire.start(exchange);
  }

  /// Whether the task has ended, with an answer or a failure; otherwise it must be sent again.
  bool settle(Task& task, std::string_view what) {
    count_sent(task);
    Exchange& exchange = task.exchange;
    try {
      if (!exchange.failure.empty()) {
        if (exchange.failure_code == Code::unavailable && pause(task)) {
          log::debug("{}: {}: try {}: {}", url_, what, task.attempts, exchange.failure);
          return false;
        }
        set_failure(task, exchange.failure_code, what, exchange.failure);
        return true;
      }
      switch (options_.judge ? options_.judge(exchange.response) : by_status(exchange.response)) {
        case Verdict::answer:
          patience_->answered();
          return true;
        case Verdict::again:
          patience_->failed(task.sent_at);
          if (pause(task)) {
            log::debug("{}: {}: try {}: {}", url_, what, task.attempts, explain(exchange.response));
            return false;
          }
          set_failure(task, Code::unavailable, what, explain(exchange.response));
          return true;
        case Verdict::credentials:
          if (std::exchange(task.renewed, true)) return true;
          return credentials_.renew(task.credentials) == task.credentials;
        case Verdict::clock:
          if (std::exchange(task.clock_set, true)) return true;
          return !set_clock(exchange.response);
      }
    } catch (const std::exception&) {
      task.failure = std::current_exception();
    }
    return true;
  }

  /// Schedules the next try; false if there is no time for one: then the last cause is reported,
  /// which says more than that the time is over.
  bool pause(Task& task) const {
    if (task.attempts >= options_.attempts || patience_->is_given_up()) return false;
    const TimePoint next = time_now() + seconds(task.pause_s * jitter());
    if (next >= Patience::Try(*patience_).deadline().time()) return false;
    task.not_before = next;
    task.pause_s = std::min(2 * task.pause_s, options_.longest_pause_s);
    return true;
  }

  void set_failure(Task& task, Code code, std::string_view what, std::string_view why) const {
    const std::string tries =
        task.attempts > 1 ? fmt::format(" ({} tries)", task.attempts) : std::string();
    task.failure =
        std::make_exception_ptr(Error(code, fmt::format("{}: {}: {}{}", url_, what, why, tries)));
  }

  std::string explain(const Response& response) const {
    return options_.explain ? options_.explain(response) : fmt::format("HTTP {}", response.status);
  }

  void count_sent(Task& task) {
    const int before = task.counted;
    task.counted = task.exchange.sent;
    sent_ += static_cast<std::uint64_t>(task.counted - before);
    if (options_.on_sent)
      for (int i = before; i < task.counted; ++i) options_.on_sent(*task.request);
  }

  system_clock::duration clock_offset() const { return std::chrono::seconds(clock_offset_s_); }

  /// Uses the answer's Date as the time; false if it has none.
  bool set_clock(const Response& response) {
    const std::optional<std::int64_t> date = parse_date(response.header("date"));
    if (!date) return false;
    const std::int64_t offset = *date - system_clock::to_time_t(wall_now());
    if (std::abs(offset) > kFarthestClock_s) return false;
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
  CredentialsSource credentials_;
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
