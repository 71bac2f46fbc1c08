#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/aws/client.h"
#include "lambdaml/aws/pace.h"
#include "lambdaml/base/deadline.h"
#include "lambdaml/storage/dynamodb/address.h"
#include "lambdaml/storage/dynamodb/reply.h"
#include "lambdaml/storage/meter.h"

namespace lambdaml::storage::dynamodb {

/// What an operation is billed as.
enum class Kind { put, get, list, remove, other };

/// DynamoDB's operations on one table: sends requests and translates errors. Thread-safe. Throttled
/// requests, and replies whose x-amz-crc32 does not match the body, are retried.
class Service {
 public:
  Service(Address address, std::shared_ptr<Patience> patience);

  const std::string& table() const { return address_.table; }
  /// Without credentials; for messages.
  const std::string& endpoint() const { return client_.endpoint(); }
  /// The name of the table's key. Requested from the service once (one request; with `create` the
  /// table is created, which may take up to a minute). Throws not_found, and invalid_argument if
  /// the key is not a single string.
  std::string key_attribute();

  /// Sends `body` as the operation `name` and returns the answer, which may be a failed condition
  /// (see is_condition_failed). Throws for any other error: not_found (no such table),
  /// permission_denied, resource_exhausted (value too large), unavailable, cancelled, data_corrupt
  /// (not DynamoDB). `subject` names the key or other object in messages.
  aws::Response call(std::string_view name, Kind kind, const std::string& body,
                     std::string_view subject);
  /// Sends several at once; answers are in the order of the bodies.
  std::vector<aws::Response> call_all(std::string_view name, Kind kind,
                                      std::span<const std::string> bodies,
                                      std::string_view subject);
  static bool is_condition_failed(const aws::Response& answer);

  /// Parse an answer, and take and count the value of an item in it. Throw data_corrupt, naming the
  /// operation and the subject or key.
  Reply parse(std::string_view name, std::string_view subject, const aws::Response& answer);
  Buffer take_value(std::string_view name, ReplyItem& item) const;
  /// Count the consumed capacity that the service reports, or else `computed`.
  void count_written(const Reply& reply, double computed) const;
  void count_read(const Reply& reply, double computed) const;
  /// The read units of this item.
  double read_units_of(const ReplyItem& item);

  /// How fast requests are sent. A throttled process learns it by itself: items carry no news.
  aws::Pace& pace() { return *pace_; }

  /// Counts requests from now on; call before any other method.
  void count_into(std::shared_ptr<Meter> meter) { meter_ = std::move(meter); }
  /// Null if requests are not counted.
  Meter* meter() const { return meter_.get(); }

 private:
  aws::ClientOptions client_options(std::shared_ptr<Patience> patience);
  /// Whether messages may repeat the endpoint's text.
  bool is_told() const;
  /// For use in a catch block: rethrows the current error, prefixed with the operation.
  [[noreturn]] void rethrow(std::string_view name, std::string_view subject) const;
  std::string what(std::string_view name, std::string_view subject) const;
  [[noreturn]] void fail_answer(std::string_view what, const aws::Response& answer) const;
  std::string find_key_attribute();
  void create_table(Deadline deadline);

  Address address_;
  std::shared_ptr<Meter> meter_;
  std::shared_ptr<aws::Pace> pace_ =
      std::make_shared<aws::Pace>(aws::Pace::Limits{.least_per_s = 50});
  aws::Client client_;
  std::mutex mutex_;
  std::string key_attribute_;
};

}  // namespace lambdaml::storage::dynamodb
