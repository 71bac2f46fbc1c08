#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"

/// Parses and checks replies of DynamoDB. Replies are untrusted: any text either gives a result or
/// throws. unavailable means that the reply is not a JSON object and was probably cut off;
/// data_corrupt, that its contents are wrong. Messages do not repeat the contents.
namespace lambdaml::storage::dynamodb {

/// An item as returned in a reply.
struct ReplyItem {
  std::string key;
  /// nullopt for an item that this project did not write.
  std::optional<std::uint64_t> bytes;
  std::optional<Buffer> value;  ///< nullopt if not requested, or empty

  /// Takes the value out. Throws data_corrupt if the item was not written by this project, or the
  /// value's length differs from `bytes`.
  Buffer take_value();
};

/// The reply to any operation on items.
struct Reply {
  std::vector<ReplyItem> items;          ///< of GetItem, BatchGetItem, Scan
  std::vector<std::string> unprocessed;  ///< keys to request again
  std::string next;                      ///< where a Scan continues, as JSON; empty at the end
  std::optional<double> units;           ///< consumed capacity, if reported
};

/// `key_attribute` is the name of the table's key.
Reply parse_reply(std::string_view text, std::string_view key_attribute);

/// The result of DescribeTable and CreateTable.
struct TableState {
  std::string status;  ///< CREATING, ACTIVE, …
  /// The name of the key if it is a single string attribute; else empty.
  std::string key_attribute;
};
TableState parse_table(std::string_view text);

/// The error in an unsuccessful reply.
struct Problem {
  std::string type;     ///< "ThrottlingException"; empty when the reply is not DynamoDB's
  std::string message;  ///< printable
};
Problem parse_problem(std::string_view text);

}  // namespace lambdaml::storage::dynamodb
