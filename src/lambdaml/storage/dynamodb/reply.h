#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"

/// What DynamoDB answers, checked. Replies are bytes from a network: any text either gives what is
/// described here or throws: unavailable for what is no JSON object, as a reply is that was cut,
/// else data_corrupt, which says what is wrong, not with what.
namespace lambdaml::storage::dynamodb {

/// An item as a reply shows it.
struct ReplyItem {
  std::string key;
  /// Absent in an item that no store of this project has written.
  std::optional<std::uint64_t> bytes;
  std::optional<Buffer> value;  ///< absent when it was not asked for, or is empty

  /// The value. Throws data_corrupt for an item that is not ours, or whose value is not as long as
  /// it says.
  Buffer take_value();
};

/// The reply to any operation on items.
struct Reply {
  std::vector<ReplyItem> items;          ///< of GetItem, BatchGetItem, Scan
  std::vector<std::string> unprocessed;  ///< keys that are to be asked for or written again
  std::string next;                      ///< where a Scan goes on, as JSON; empty at the end
  std::optional<double> units;           ///< capacity consumed, where the server says
};

/// `key_attribute` is the name of the table's key.
Reply parse_reply(std::string_view text, std::string_view key_attribute);

/// What DescribeTable and CreateTable say.
struct TableState {
  std::string status;  ///< CREATING, ACTIVE, …
  /// The name of the key where it is one string; else empty.
  std::string key_attribute;
};
TableState parse_table(std::string_view text);

/// What went wrong, from a reply that is no success.
struct Problem {
  std::string type;     ///< "ThrottlingException"; empty when the reply is not DynamoDB's
  std::string message;  ///< printable
};
Problem parse_problem(std::string_view text);

}  // namespace lambdaml::storage::dynamodb
