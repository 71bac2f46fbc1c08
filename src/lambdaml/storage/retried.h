#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <type_traits>

#include "lambdaml/base/log.h"
#include "lambdaml/base/service/backoff.h"
#include "lambdaml/base/service/patience.h"
#include "lambdaml/base/text.h"
#include "lambdaml/storage/decorators.h"

/// The loop around tries that with_retry() and open() share.
namespace lambdaml::storage {

/// Within a handler of the error of the last try: throws it again, with what was tried in front.
[[noreturn]] void rethrow_tried(const Patience::Call& call, const std::string& service, int tries);

struct Retried {
  /// The deadline of a call that waits. When it passes within an outage, the wait still looks once
  /// the service is back: nobody knows before whether what it waits for is there.
  std::optional<Deadline> wait_until = {};
  std::string_view key = {};  ///< for the log
  bool answers = true;        ///< when the attempt returns, the service has answered
};

/// Calls attempt() until it returns, or throws anything but `unavailable`, or until the patience is
/// at its end; on_failure() after each try that failed and is followed by another. service() names
/// the service in messages. A wait of which a part was answered before it failed is no try in a row
/// of failures: the count begins anew.
template <class Service, class Attempt, class OnFailure>
std::invoke_result_t<Attempt> retried(Patience& patience, const RetryPolicy& policy,
                                      const Service& service, const Retried& what,
                                      Attempt&& attempt, OnFailure&& on_failure) {
  // With a deadline that has passed before, a wait is a look, and repeated like one.
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
      log::debug("{}: '{}': try {}: {}", service(), what.key, tries, error.what());
      on_failure();
    }
    const double pause = backoff.next_s();
    call.pause(waits && !what.wait_until->passed()
                   ? std::min(pause, what.wait_until->seconds_left())
                   : pause);
  }
}

}  // namespace lambdaml::storage
