#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <type_traits>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/service/backoff.h"
#include "lambdaml/base/service/patience.h"
#include "lambdaml/base/text.h"
#include "lambdaml/storage/decorators.h"

/// The retry loop that with_retry() and open() share.
namespace lambdaml::storage {

/// For use in a handler of the last attempt's error: rethrows it, prefixed with what was attempted.
[[noreturn]] void rethrow_tried(const Patience::Call& call, const std::string& service, int tries);

struct Retried {
  /// The deadline of a call that waits. If it passes during an outage, the wait still polls once
  /// when the service is back, because until then nobody can tell whether the key is there.
  std::optional<Deadline> wait_until = {};
  std::string_view key = {};  ///< for the log
  bool answers = true;        ///< a successful attempt means that the service answered
};

/// Calls attempt() until it returns or throws an error other than `unavailable`, or until the
/// patience is exhausted; calls on_failure() between attempts. service() names the service in
/// messages. If part of a wait was answered before it failed, the count of attempts starts again.
template <class Service, class Attempt, class OnFailure>
std::invoke_result_t<Attempt> retried(Patience& patience, const RetryPolicy& policy,
                                      const Service& service, const Retried& what,
                                      Attempt&& attempt, OnFailure&& on_failure) {
  // With a deadline in the past, a wait is a single poll and is retried like a load.
  const bool waits = what.wait_until && !what.wait_until->passed();
  Backoff backoff(policy.first_delay_s, policy.longest_delay_s);
  Patience::Call call(patience);
  for (int tries = 1;; ++tries) {
    if (!call.begin_try()) call.fail_given_up(service());
    const auto begun = time_now();
    try {
      if constexpr (std::is_void_v<std::invoke_result_t<Attempt>>) {
        attempt();
        what.answers ? patience.answered() : call.withdraw_try();
        return;
      } else {
        auto result = attempt();
        what.answers ? patience.answered() : call.withdraw_try();
        return result;
      }
    } catch (const Error& error) {
      if (error.code() != Code::unavailable) throw;
      if (waits && call.was_answered()) {
        call.begin_anew();
        tries = 1;
        backoff.reset();
      }
      call.failed(begun);
      const bool hopeless = call.is_hopeless(tries, policy.attempts);
      if (hopeless) patience.give_up();
      const bool late = waits && what.wait_until->passed();
      if (hopeless || (late && !patience.has_answered())) rethrow_tried(call, service(), tries);
      log::debug("{}: '{}': attempt {}: {}", service(), what.key, tries, error.what());
      on_failure();
    }
    const double pause = backoff.next_s();
    call.pause(waits && !what.wait_until->passed()
                   ? std::min(pause, what.wait_until->seconds_left())
                   : pause);
  }
}

}  // namespace lambdaml::storage
