#include "lambdaml/control/worker_claim.h"

#include <optional>
#include <utility>

#include <fmt/core.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/unique_id.h"
#include "lambdaml/control/channel.h"
#include "lambdaml/control/endings.h"

namespace lambdaml::control {

WorkerClaim::WorkerClaim(std::shared_ptr<storage::Storage> channel, std::uint32_t worker)
    : WorkerClaim(std::move(channel), keys::claim(worker), fmt::format("worker {}", worker)) {
  is_kept_ = store_->capabilities().durable;
}

WorkerClaim::WorkerClaim(std::shared_ptr<storage::Storage> store, std::string key, std::string what)
    : store_(std::move(store)), key_(std::move(key)), what_(std::move(what)) {}

void WorkerClaim::claim() {
  token_ = fmt::format("{:016x}", unique_number());
  store_->save(key_, as_bytes(token_));
}

void WorkerClaim::require() {
  constexpr int kMostReadings = 10;
  since_look_ = Stopwatch();
  std::optional<Buffer> before;
  for (int reading = 0; reading < kMostReadings; ++reading) {
    std::optional<Buffer> holder = store_->load(key_);
    if (!holder && is_kept_) throw JobIsOver(fmt::format("{}: its job is over", what_));
    if (!holder || holder->text() == token_) return;
    if (holder->text() == kStop) throw Stopped(fmt::format("{}: its job was stopped", what_));
    if (before && before->text() == holder->text())
      throw Superseded(fmt::format("another attempt of {} has taken over", what_));
    before = std::move(holder);
  }
  fail(Code::unavailable, "{}: the claim of {} is another each time that it is read",
       store_->describe(), what_);
}

void WorkerClaim::require_now_and_then() {
  constexpr double kSeconds = 1;
  if (!token_.empty() && since_look_.seconds() >= kSeconds) require();
}

bool WorkerClaim::is_superseded() noexcept {
  try {
    if (!token_.empty()) require();
    return false;
  } catch (const Superseded&) {
    return true;
  } catch (...) {
    return false;
  }
}

}  // namespace lambdaml::control
