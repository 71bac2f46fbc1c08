#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/aws/client.h"
#include "lambdaml/base/deadline.h"
#include "lambdaml/storage/dynamodb/address.h"
#include "lambdaml/storage/dynamodb/reply.h"
#include "lambdaml/storage/meter.h"

namespace lambdaml::storage::dynamodb {

/// What an operation is billed as.
enum class Kind { put, get, list, remove, other };

/// The operations of DynamoDB on one table: requests as they are sent, and errors in the project's
/// words. Thread-safe. A reply whose x-amz-crc32 does not fit its body counts as lost on the way
/// and is asked for again, as is what was throttled.
class Service {
 public:
  Service(Address address, std::shared_ptr<Patience> patience);

  const std::string& table() const { return address_.table; }
  /// Without credentials, for messages.
  const std::string& endpoint() const { return client_.endpoint(); }
  /// The name of the table's key. Asked of the service once (one request; with `create` the table
  /// is made and waited for, at most a minute). Throws not_found, invalid_argument for a table
  /// whose key is not one string.
  std::string key_attribute();

  /// Sends `body` as the operation `name` and returns the answer, which may be a condition that
  /// failed (see is_condition_failed); any other error is thrown: not_found (no such table),
  /// permission_denied, resource_exhausted (a value too large), unavailable, cancelled,
  /// data_corrupt (no DynamoDB there). `subject` says in messages what it is about: a key.
  aws::Response call(std::string_view name, Kind kind, const std::string& body,
                     std::string_view subject);
  /// Several at once; answers in the order of the bodies.
  std::vector<aws::Response> call_all(std::string_view name, Kind kind,
                                      std::span<const std::string> bodies,
                                      std::string_view subject);
  static bool is_condition_failed(const aws::Response& answer);

  /// What an answer says, and the value of an item in it, which is counted. They throw
  /// data_corrupt, naming the operation and the subject or the item's key.
  Reply parse(std::string_view name, std::string_view subject, const aws::Response& answer);
  Buffer take_value(std::string_view name, ReplyItem& item) const;
  /// Count the capacity that the service says was consumed, or else `computed`.
  void count_written(const Reply& reply, double computed) const;
  void count_read(const Reply& reply, double computed) const;
  /// The units of reading this item.
  double read_units_of(const ReplyItem& item);

  /// From now on; before any call.
  void count_into(std::shared_ptr<Meter> meter) { meter_ = std::move(meter); }
  /// Null when nobody counts.
  Meter* meter() const { return meter_.get(); }

 private:
  aws::ClientOptions client_options(std::shared_ptr<Patience> patience);
  /// Whether error lines may repeat what the endpoint says.
  bool is_told() const;
  /// To be called in a catch block: throws the current error again, with the operation in front.
  [[noreturn]] void rethrow(std::string_view name, std::string_view subject) const;
  std::string what(std::string_view name, std::string_view subject) const;
  [[noreturn]] void fail_answer(std::string_view what, const aws::Response& answer) const;
  std::string find_key_attribute();
  void create_table(Deadline deadline);

  Address address_;
  std::shared_ptr<Meter> meter_;
  aws::Client client_;
  std::mutex mutex_;
  std::string key_attribute_;
};

}  // namespace lambdaml::storage::dynamodb
