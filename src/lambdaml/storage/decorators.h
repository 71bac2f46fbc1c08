#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "lambdaml/base/service/patience.h"
#include "lambdaml/storage/meter.h"
#include "lambdaml/storage/storage.h"

/// Stores that wrap other stores. Each keeps the whole contract of Storage, including batch forms
/// and waits, and forwards what it does not change to the batch forms of the inner store.
namespace lambdaml::storage {

/// Prepends `prefix` (which ends in `/`) to every key; list() and waits name keys without it. Jobs
/// with different prefixes never see each other's keys. Throws invalid_argument unless the prefix
/// is a valid key; with `of_others` the inner store alone decides, which may read keys that others
/// wrote.
std::shared_ptr<Storage> with_prefix(std::shared_ptr<Storage> inner, std::string prefix,
                                     bool of_others = false);

/// Lifts max_value_bytes: a value larger than `chunk_bytes` (0: the inner store's limit) is saved
/// as pieces `KEY.chunk/GENERATION-I` followed by a small index under KEY; smaller values are saved
/// whole behind an 8-byte mark. Each save draws a new generation, so a reader sees the old or the
/// new value whole, which the checksum in the index proves. list() shows whole keys with whole
/// sizes. A value of n bytes costs ⌈n / chunk⌉ + 1 requests. remove() also removes the pieces,
/// which costs a load if this handle did not save the value; pieces of a value that another handle
/// overwrote stay until clear(). Keys with a part that ends in `.chunk` are rejected
/// (invalid_argument). Returns `inner` itself if it has no limit.
std::shared_ptr<Storage> with_chunks(std::shared_ptr<Storage> inner, std::uint64_t chunk_bytes = 0);

struct RetryPolicy {
  /// Total attempts for a service that has never answered; one that has answered is retried for as
  /// long as the patience lasts.
  int attempts = 5;
  double first_delay_s = 0.02;  ///< doubles each time, jittered to 50–100 %
  double longest_delay_s = 2;
};
/// Retries calls that throw `unavailable`, for as long as `patience` lasts (null: its own, with the
/// standard policy). It should be the patience of `inner`, so that no lower layer waits longer.
/// Once the service is given up, each call fails at once, as described at Patience. A wait's
/// deadline also bounds its retries, except during an outage, when the wait ends with the outage or
/// the patience. A failed attempt of create() may have succeeded on the server, so a retry takes an
/// equal value under the key for its own: the value should identify its writer. An interrupt ends
/// the pauses.
std::shared_ptr<Storage> with_retry(std::shared_ptr<Storage> inner, RetryPolicy policy = {},
                                    std::shared_ptr<Patience> patience = nullptr);

/// Counts requests to a store in `meter`. A store that counts its own requests is told to do so and
/// returned as is; for any other store, each call counts one request per key, waits included.
std::shared_ptr<Storage> with_meter(std::shared_ptr<Storage> inner, std::shared_ptr<Meter> meter);

/// How often a wait checks whether it is still wanted: first after `first_s`, then after pauses
/// that double up to `longest_s`.
struct WaitPieces {
  double first_s = 0.1;
  double longest_s = 0.1;
  /// Replaces longest_s where polling is expensive, for a check that polls the store too.
  double longest_where_expensive_s = 0.1;
};
/// Calls `check` before each load, save and create, at the beginning of a wait and while it lasts;
/// never from two threads at once. `check` throws to cancel the operation.
std::shared_ptr<Storage> with_cancellation(std::shared_ptr<Storage> inner,
                                           std::function<void()> check, WaitPieces pieces = {});

}  // namespace lambdaml::storage
