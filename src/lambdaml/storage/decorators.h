#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "lambdaml/base/service/patience.h"
#include "lambdaml/storage/meter.h"
#include "lambdaml/storage/storage.h"

/// Stores around stores. Each keeps the whole contract of Storage, batch forms and waits included,
/// and passes what it does not change through to the inner store's own batch forms.
namespace lambdaml::storage {

/// Every key gets `prefix` (which ends in `/`) in front; list() and waits name keys without it.
/// Two jobs with different prefixes never see each other's keys.
std::shared_ptr<Storage> with_prefix(std::shared_ptr<Storage> inner, std::string prefix);

/// Lifts max_value_bytes: a value that does not fit `chunk_bytes` (0: what the inner store allows)
/// is saved as pieces `KEY.chunk/GENERATION-I` and, last, a small index under KEY; shorter values
/// are saved as they are, behind an 8-byte mark. Each save draws a new generation, so a reader sees
/// the old value or the new one whole; the checksum in the index proves it. list() shows whole keys
/// with whole sizes. A value of n bytes costs ⌈n / chunk⌉ + 1 requests. remove() removes the pieces
/// too, at the price of a load where this handle did not save the value; pieces of a value that
/// another handle wrote over stay until the key's clear(). Keys with a part that ends in `.chunk`
/// are refused. Without a limit to lift, `inner` itself is returned.
std::shared_ptr<Storage> with_chunks(std::shared_ptr<Storage> inner, std::uint64_t chunk_bytes = 0);

struct RetryPolicy {
  /// In all, the first included, for a service that has never answered; one that has is tried for
  /// as long as the patience with it lasts.
  int attempts = 5;
  double first_delay_s = 0.02;  ///< doubles each time, jittered to 50–100 %
  double longest_delay_s = 2;
};
/// Repeats calls that end in `unavailable`, for as long as `patience` lasts (null: a patience of
/// its own, by the standard policy), which should be the one that `inner` has: then no layer below
/// waits longer. After that each call fails at once, as Patience says. A wait's deadline bounds its
/// retries too, but for an outage: then it ends with the outage, or with the patience. A create()
/// whose failed try may have gone through takes an equal value under the key for its own: let the
/// value name its writer. An interrupt ends the pauses.
std::shared_ptr<Storage> with_retry(std::shared_ptr<Storage> inner, RetryPolicy policy = {},
                                    std::shared_ptr<Patience> patience = nullptr);

/// Counts what is asked of a store in `meter`: a store that counts its own requests is told to and
/// returned as it is; for any other, each call counts one request a key, a wait too.
std::shared_ptr<Storage> with_meter(std::shared_ptr<Storage> inner, std::shared_ptr<Meter> meter);

/// How long a wait goes on before it is asked whether it is still wanted: `first_s`, then twice as
/// long each time, up to `longest_s`.
struct WaitPieces {
  double first_s = 0.1;
  double longest_s = 0.1;
  /// The same where polling is expensive, for a check that polls the store too.
  double longest_where_expensive_s = 0.1;
};
/// Calls `check`, which throws when its user is to stop, before each load, save and create, as a
/// wait begins, and while it goes on; from one thread at a time.
std::shared_ptr<Storage> with_cancellation(std::shared_ptr<Storage> inner,
                                           std::function<void()> check, WaitPieces pieces = {});

/// For tests: before each call of the inner store, `hook(verb, key)` may throw, sleep or kill. The
/// batch forms call the hook once per key; save_all and remove_all then go on key by key, so that a
/// fault in the middle leaves a part done.
using FaultHook = std::function<void(std::string_view verb, std::string_view key)>;
std::shared_ptr<Storage> with_faults(std::shared_ptr<Storage> inner, FaultHook hook);

}  // namespace lambdaml::storage
