#include "lambdaml/faas/local/local_invocations.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <system_error>

#include <boost/asio/post.hpp>
#include <signal.h>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/text.h"

namespace lambdaml::faas::local {
namespace {

/// Descriptors per environment: the listening socket, a connection and its successor, the log's
/// pipe and file, the process.
constexpr std::size_t kDescriptorsEach = 6;
/// Descriptors of the loop, and those that are open only briefly.
constexpr std::size_t kDescriptorsShared = 16;

void check_executable(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error))
    fail(Code::not_found, "cannot start functions: there is no executable {}", path.string());
  if (access(path.c_str(), X_OK) != 0)
    fail(Code::permission_denied, "cannot start functions: {} is not executable", path.string());
}

}  // namespace

LocalInvocations::LocalInvocations(const Function& function, std::vector<std::string> payloads,
                                   FailureObserver observer)
    : service_(LocalService::shared()),
      function_(function),
      board_(payloads.size(), std::move(observer)) {
  check_executable(function_.executable);
  if (!function_.log_folder.empty()) make_folder(function_.log_folder);
  sandbox::reserve_descriptors(payloads.size() * kDescriptorsEach + kDescriptorsShared);
  for (std::string& payload : payloads)
    slots_.push_back({std::move(payload), new_request_id(), nullptr,
                      boost::asio::steady_timer(service_->loop()), 0});

  std::promise<void> started;
  std::future<void> all_started = started.get_future();
  boost::asio::post(service_->loop(), [&] {
    service_->add(this);
    start_from(0, started);
  });
  try {
    all_started.get();
  } catch (...) {
    cancel();
    throw;
  }
}

LocalInvocations::~LocalInvocations() { cancel(); }

/// Starts them one after another through the loop, so that the first runtimes get their events
/// while the last are being started.
void LocalInvocations::start_from(std::size_t event, std::promise<void>& started) {
  if (event == slots_.size()) return started.set_value();
  try {
    throw_if_interrupted();
    start(event);
    boost::asio::post(service_->loop(),
                      [this, event, &started] { start_from(event + 1, started); });
  } catch (...) {
    started.set_exception(std::current_exception());
  }
}

std::string LocalInvocations::name_of(std::size_t event) const {
  return fmt::format("{} {}", function_.handler, event);
}

void LocalInvocations::start(std::size_t event) {
  Slot& slot = slots_[event];
  ++slot.attempts;
  slot.environment = service_->function(function_).run_here(
      slot.request_id, slot.payload, function_.timeout_s,
      function_.log_folder.empty() ? std::filesystem::path()
                                   : function_.log_folder / fmt::format("worker-{}.log", event),
      [this, event](const sandbox::AttemptResult& result) { on_result(event, result); });
  EventStatus status = board_.at(event);
  status.state = EventStatus::State::running;
  status.attempts = slot.attempts;
  status.process_id = slot.environment->process_id();
  board_.set(event, std::move(status));
}

void LocalInvocations::start_again(std::size_t event) {
  try {
    start(event);
  } catch (...) {
    on_result(event, {current_failure(), {}, {}});
  }
}

void LocalInvocations::on_result(std::size_t event, sandbox::AttemptResult result) {
  Slot& slot = slots_[event];
  EventStatus status = board_.at(event);
  status.process_id = 0;
  status.attempts = slot.attempts;
  if (!result.failure) {
    slot.environment = nullptr;
    if (!stopping_ && function_.goes_on && function_.goes_on(result.response)) {
      slot.attempts = 0;
      slot.request_id = new_request_id();
      return start_again(event);
    }
    status.state = EventStatus::State::succeeded;
    status.response = std::move(result.response);
    return board_.set(event, std::move(status));
  }

  if (const auto environment = std::exchange(slot.environment, nullptr)) environment->kill();
  const bool retry = !stopping_ && slot.attempts <= function_.retries &&
                     function_.worth_a_retry(result.failure->type);
  status.state = retry ? EventStatus::State::waiting : EventStatus::State::failed;
  status.error_type = result.failure->type;
  status.error_message = fmt::format("{}: {}", name_of(event), result.failure->message);
  status.last_log_lines = std::move(result.last_log_lines);
  board_.report(event, status, retry);
  board_.set(event, std::move(status));
  if (!retry) return;
  slot.retry.expires_after(std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double>(retry_pause_s(function_.retry_delay_s, slot.attempts))));
  slot.retry.async_wait([this, alive = alive_, event](const boost::system::error_code& error) {
    if (!error && *alive && !stopping_) start_again(event);
  });
}

void LocalInvocations::kill_all(const Failure& why, std::function<void()> then) {
  stopping_ = true;
  const std::shared_ptr<void> last(nullptr, [then = std::move(then)](void*) {
    if (then) then();
  });
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    slots_[i].retry.cancel();
    if (const auto environment = std::exchange(slots_[i].environment, nullptr)) {
      environment->when_gone([last] {});
      environment->kill();
    }
    EventStatus status = board_.at(i);
    if (status.state != EventStatus::State::waiting && status.state != EventStatus::State::running)
      continue;
    status.process_id = 0;
    status.state = EventStatus::State::failed;
    status.error_type = why.type;
    status.error_message = fmt::format("{}: {}", name_of(i), why.message);
    board_.set(i, std::move(status));
  }
}

void LocalInvocations::cancel() {
  const std::lock_guard lock(cancelling_);
  if (std::exchange(cancelled_, true)) return;
  std::promise<void> gone;
  boost::asio::post(service_->loop(), [this, &gone] {
    *alive_ = false;
    service_->remove(this);
    kill_all({std::string(to_string(Code::cancelled)), "cancelled"}, [&gone] { gone.set_value(); });
  });
  gone.get_future().wait();
}

}  // namespace lambdaml::faas::local
