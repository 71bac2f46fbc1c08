#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/batch_limits.h"
#include "lambdaml/base/bytes.h"
#include "lambdaml/storage/dynamodb/service.h"

namespace lambdaml::storage::dynamodb {

/// DynamoDB's limit for a BatchWriteItem. Batches of this many of the largest items stay below the
/// limit of 16 MB per request or reply, so it is also used for BatchGetItem (which allows 100).
inline constexpr std::size_t kItemsPerBatch = 25;
/// Closed at 2 MB of values: several small requests are sent at a time.
inline constexpr BatchLimits kSaveBatch = {.keys = kItemsPerBatch, .bytes = 2e6};
inline constexpr BatchLimits kRemovalBatch = {.keys = kItemsPerBatch};
/// A reply may leave out what is beyond 1 MB.
inline constexpr BatchLimits kLoadBatch = {.keys = kItemsPerBatch, .bytes = 1e6};

/// Many keys in few requests, several requests at a time. A busy service may leave keys
/// unprocessed; these are sent again after pauses that double, until seven attempts in a row
/// achieve nothing: then throws `unavailable`. What a full reply leaves out is asked for at once,
/// by requests of as many keys as it brought. Thread-safe. The caller keeps ownership of the
/// arguments.
class Batches {
 public:
  using Keys = std::span<const std::string_view>;
  using Values = std::map<std::string_view, Bytes>;
  using Found = std::map<std::string_view, Buffer>;

  explicit Batches(Service& service) : service_(service) {}

  /// Requests as kSaveBatch says.
  void put(const Values& values);
  /// Requests of 25 keys. Keys must be unique.
  void remove(Keys keys);
  /// Adds the values that exist to `found`. Requests of 25 keys; keys must be unique.
  void get(Keys keys, Found& found);

 private:
  struct Batch {
    Keys keys;
    std::string body;
  };
  /// A request for the first of the given keys, kItemsPerBatch at most.
  using Compose = std::function<Batch(Keys)>;
  using Take = std::function<void(Keys, Reply&)>;
  void run(std::string_view name, Kind kind, Keys keys, const Compose& compose, const Take& take);
  void count_written(Keys keys, const Reply& reply, const Values& values) const;
  /// Our key that equals the one in a reply.
  std::string_view own(std::string_view key, Keys asked, std::string_view name) const;

  Service& service_;
};

}  // namespace lambdaml::storage::dynamodb
