#include "lambdaml/control/lease.h"

#include <algorithm>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/service/backoff.h"
#include "lambdaml/base/wait.h"

namespace lambdaml::control {
namespace {

using nlohmann::json;

/// Between two polls of a lease that another holds, in seconds.
constexpr double kFirstPause_s = 0.05;
constexpr double kLongestPause_s = 1;

std::int64_t epoch_ms_at(Deadline deadline) {
  return epoch_ms() + static_cast<std::int64_t>(deadline.seconds_left() * 1e3);
}

/// The holder's name makes all lease values distinct: a create() whose answer was lost takes an
/// equal value for its own.
std::string text_of(const std::string& holder, std::int64_t until_ms, bool finished) {
  return json_text(json{{"holder", holder}, {"until_ms", until_ms}, {"finished", finished}});
}

}  // namespace

Lease::Lease(std::shared_ptr<storage::Storage> store, std::string key, Deadline expires,
             double silence_s)
    : store_(std::move(store)), key_(std::move(key)), expires_(expires), silence_s_(silence_s) {}

Lease::~Lease() {
  if (!held_) return;
  try {
    write(0, false);
  } catch (const std::exception& error) {
    log::warning("giving back {}: {}", key_, error.what());
  } catch (...) {
    // A simulated process that was killed: its next call says so again.
  }
}

void Lease::write(std::int64_t until_ms, bool finished) {
  store_->save(slot(), as_bytes(text_of(holder_, until_ms, finished)));
}

Lease::Taken Lease::take(Deadline patience) {
  storage::require_atomic_create(*store_, "a trigger or search as a function");
  for (Backoff backoff(kFirstPause_s, kLongestPause_s);;) {
    const std::string mine = text_of(holder_, epoch_ms_at(expires_), false);
    while (true) {
      const std::optional<Buffer> known = store_->load(slot());
      if (!known) {
        held_ = store_->create(slot(), as_bytes(mine));
        if (held_) return Taken::yes;
        continue;
      }
      const json holder = parse_json(known->text());
      if (holder.is_object() && holder.contains("finished") && holder["finished"] == true)
        return Taken::finished;
      const bool lives = holder.is_object() && holder.contains("until_ms") &&
                         holder["until_ms"].is_number_integer() &&
                         whole_number<std::int64_t>(holder["until_ms"]) > epoch_ms();
      if (lives) break;
      ++number_;
    }
    if (patience.passed()) return Taken::no;
    sleep_until(Deadline::in(backoff.next_s()).earlier(patience));
  }
}

void Lease::renew() {
  if (!held_ || since_renewal_.seconds() < silence_s_ / 4) return;
  since_renewal_ = Stopwatch();
  try {
    if (!store_->load(key_ + "/" + std::to_string(number_ + 1)))
      return write(epoch_ms_at(expires_.earlier(Deadline::in(silence_s_))), false);
  } catch (const Error& error) {
    return log::warning("renewing {}: {}", key_, error.what());
  }
  held_ = false;
  throw Superseded(fmt::format("{}: taken for dead, another invocation has taken over", key_));
}

void Lease::finish() noexcept {
  if (!held_) return;
  // Even if it is unknown whether the write succeeded, because releasing the lease would undo it.
  held_ = false;
  try {
    write(0, true);
  } catch (const std::exception& error) {
    log::warning("marking {} as done: {}", key_, error.what());
  } catch (...) {
    // A simulated process that was killed: its next call says so again.
  }
}

bool Lease::was_taken(storage::Storage& store, const std::string& key) {
  return store.load(key + "/0").has_value();
}

}  // namespace lambdaml::control
