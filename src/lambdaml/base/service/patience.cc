#include "lambdaml/base/service/patience.h"

#include <cstdlib>

#include "lambdaml/base/error.h"
#include "lambdaml/base/fibers/scheduler.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/wait.h"

namespace lambdaml {
namespace {

using Time = Patience::Time;

/// If there was no try for this long, the next failure begins another outage, because the state of
/// the service in between is unknown.
constexpr auto kForgotten = std::chrono::seconds(5);
/// How much of a request the buffers of two kernels accept although the server is frozen and never
/// reads it: up to this many sent bytes are no sign of life during an outage.
constexpr std::uint64_t kSwallowed = 16 << 20;
/// The part of the time limit below which another try is not worthwhile.
constexpr double kTooShort = 0.05;
constexpr double kNoLimit_s = 1e10;

double probe_s(double limit_s) { return std::min(0.5, limit_s / 8); }

Time after(Time begin, double seconds) { return Deadline::at(begin).later_by(seconds).time(); }

double seconds_since(Time begin) {
  return std::max(0.0, std::chrono::duration<double>(time_now() - begin).count());
}

}  // namespace

PatiencePolicy PatiencePolicy::standard() {
  static const PatiencePolicy policy = [] {
    PatiencePolicy out;
    const char* const text = std::getenv("LAMBDAML_OUTAGE_S");
    if (const auto seconds = text == nullptr ? std::nullopt : to_real(text);
        seconds && *seconds > 0) {
      out.outage_s = *seconds;
      out.first_contact_s = std::min(out.first_contact_s, out.outage_s);
    }
    return out;
  }();
  return policy;
}

Patience::Patience(PatiencePolicy policy) : policy_(policy), has_answered_(policy.has_answered) {}

double Patience::limit_s() const {
  if (!has_answered_) return policy_.first_contact_s;
  return policy_.outage_s > 0 ? policy_.outage_s : kNoLimit_s;
}

Time Patience::begin_of_outage(Time silent_since) const {
  if (!failing_since_ || silent_since > last_failure_ + kForgotten) return silent_since;
  return std::min(*failing_since_, silent_since);
}

void Patience::answered() {
  for (Call* call = thread_state().patience_call; call != nullptr; call = call->outer_)
    if (&call->patience_ == this) call->was_answered_ = true;
  const Time now = time_now();
  const std::lock_guard lock(mutex_);
  has_answered_ = true;
  last_answer_ = now;
  failing_since_.reset();
  given_up_at_.reset();
}

void Patience::failed(Time silent_since) {
  for (Call* call = thread_state().patience_call; call != nullptr; call = call->outer_)
    if (&call->patience_ == this) call->was_told_ = true;
  const Time now = time_now();
  const std::lock_guard lock(mutex_);
  failing_since_ = begin_of_outage(std::max(silent_since, last_answer_));
  last_failure_ = now;
}

void Patience::give_up() {
  const std::lock_guard lock(mutex_);
  if (given_up_at_) return;
  given_up_at_ = time_now();
  next_probe_ = Time::min();
}

bool Patience::has_answered() const {
  const std::lock_guard lock(mutex_);
  return has_answered_;
}

bool Patience::is_given_up() const {
  const std::lock_guard lock(mutex_);
  return given_up_at_.has_value();
}

Deadline Patience::end_of_outage() const {
  const std::lock_guard lock(mutex_);
  return failing_since_ ? Deadline::at(*failing_since_).later_by(limit_s()) : Deadline::never();
}

double Patience::longest_wait_s() const {
  constexpr double kLongest_s = 5;
  return policy_.outage_s > 0 ? std::min(kLongest_s, policy_.outage_s / 4) : kLongest_s;
}

// ---- a try ----

Patience::Try::Try(Patience& patience) : patience_(&patience), window_(time_now()) {}

void Patience::Try::asks_to_wait(double seconds) {
  window_ = after(window_, std::max(0.0, seconds - patience_->longest_wait_s()));
}

void Patience::Try::sent(std::uint64_t bytes) {
  sent_ += bytes;
  count(bytes);
}

void Patience::Try::received(std::uint64_t bytes) {
  if (received_ == 0 && bytes > 0) {
    window_ = time_now();
    in_window_ = 0;
  }
  received_ += bytes;
  count(bytes);
}

void Patience::Try::count(std::uint64_t bytes) {
  in_window_ += bytes;
  const PatiencePolicy& policy = patience_->policy_;
  // Uses the longer limit, which requires more bytes, because finding the one that applies takes a
  // lock.
  const double limit_s = std::max(policy.outage_s, policy.first_contact_s);
  if (static_cast<double>(in_window_) < policy.slowest_bytes_per_s * limit_s) return;
  window_ = time_now();
  in_window_ = 0;
}

Deadline Patience::Try::deadline() const {
  const Patience& patience = *patience_;
  const std::lock_guard lock(patience.mutex_);
  const double limit_s = patience.limit_s();
  const PatiencePolicy& policy = patience.policy_;
  const double worth_it = policy.slowest_bytes_per_s * policy.outage_s;
  Time end = after(window_, limit_s);
  const bool moves = static_cast<double>(received_) >= worth_it || sent_ > kSwallowed;
  if (!moves) {
    const Time begin = patience.begin_of_outage(window_);
    end = std::min(end, after(begin, limit_s));
    if (patience.given_up_at_) end = std::min(end, after(window_, probe_s(limit_s)));
    if (patience.has_answered_ && received_ == 0 && begin == window_)
      end = std::min(end, after(window_, limit_s / 2));
    for (const Call* call = thread_state().patience_call; call != nullptr; call = call->outer_)
      if (call->failing_since_ && &call->patience_ == patience_)
        end = std::min(end, after(*call->failing_since_, limit_s));
  }
  return Deadline::at(end).earlier(interrupt_deadline());
}

std::string Patience::Try::why_late() const {
  const std::string silent = human_seconds(seconds_since(window_));
  if (received_ == 0) return "no answer for " + silent;
  if (in_window_ == 0) return fmt::format("the rest of the answer did not come for {}", silent);
  return fmt::format("too slow: {} in the last {}", human_bytes(in_window_), silent);
}

// ---- a call ----

Patience::Call::Call(Patience& patience)
    : patience_(patience), outer_(thread_state().patience_call) {
  thread_state().patience_call = this;
}

Patience::Call::~Call() { thread_state().patience_call = outer_; }

bool Patience::Call::begin_try() {
  was_answered_ = was_told_ = false;
  const std::lock_guard lock(patience_.mutex_);
  probes_ = patience_.given_up_at_.has_value();
  if (!probes_) return true;
  const Time now = time_now();
  if (now < patience_.next_probe_) return false;
  patience_.next_probe_ = after(now, patience_.limit_s());
  patience_.failing_since_.reset();
  return true;
}

void Patience::Call::withdraw_try() {
  const std::lock_guard lock(patience_.mutex_);
  if (probes_) patience_.next_probe_ = Time::min();
}

void Patience::Call::fail_given_up(const std::string& service) const {
  const std::lock_guard lock(patience_.mutex_);
  fail(Code::unavailable, "{}: not asked, for it was given up {} ago and has not answered since",
       service, human_seconds(seconds_since(patience_.given_up_at_.value_or(time_now()))));
}

void Patience::Call::failed(Time silent_since) {
  if (!was_told_) patience_.failed(silent_since);
  const std::lock_guard lock(patience_.mutex_);
  // Another try may have been answered meanwhile.
  if (!failing_since_) failing_since_ = patience_.failing_since_.value_or(silent_since);
}

void Patience::Call::begin_anew() { failing_since_.reset(); }

double Patience::Call::left_s() const {
  const std::lock_guard lock(patience_.mutex_);
  const double limit_s = patience_.limit_s();
  const Time now = time_now();
  Time begin = failing_since_.value_or(now);
  if (patience_.failing_since_) begin = std::min(begin, *patience_.failing_since_);
  const double left_s = limit_s - std::chrono::duration<double>(now - begin).count();
  return left_s - kTooShort * limit_s;
}

bool Patience::Call::is_hopeless(int tries, int most_tries) const {
  if (probes_ || left_s() <= 0) return true;
  const bool counts = !patience_.has_answered() || patience_.policy_.outage_s <= 0;
  return counts && tries >= most_tries;
}

void Patience::Call::pause(double seconds) const { pause_for(std::clamp(left_s(), 0.0, seconds)); }

double Patience::Call::failing_s() const {
  return failing_since_ ? seconds_since(*failing_since_) : 0;
}

}  // namespace lambdaml
