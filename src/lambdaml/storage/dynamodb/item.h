#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lambdaml/base/bytes.h"

/// How a value is stored in a table, and the JSON for it: an item of three attributes, the table's
/// key, `value` (the bytes; omitted if there are none) and `bytes` (their number, so that a list
/// need not carry values).
namespace lambdaml::storage::dynamodb {

/// DynamoDB's limit for an item, including names and values of the attributes.
constexpr std::uint64_t kMostItemBytes = 409'600;
/// The room left by a key of 200 bytes, the longest attribute name (255) for it, the names of the
/// other two attributes and the number.
constexpr std::uint64_t kMostValueBytes = 409'000;

constexpr std::string_view kValueAttribute = "value";
constexpr std::string_view kBytesAttribute = "bytes";

/// The size that DynamoDB bills, rounded up by a few bytes for the number.
std::uint64_t item_bytes(std::string_view key_attribute, std::string_view key,
                         std::uint64_t value_bytes);
/// Capacity units for writing an item, and for reading it consistently.
double write_units(std::uint64_t item_bytes);
double read_units(std::uint64_t item_bytes);

/// These append JSON. `text` must be UTF-8.
void append_string(std::string& out, std::string_view text);
/// {"key":{"S":"…"}}
void append_key(std::string& out, std::string_view key_attribute, std::string_view key);
/// {"key":{"S":"…"},"bytes":{"N":"3"},"value":{"B":"…"}}
void append_item(std::string& out, std::string_view key_attribute, std::string_view key,
                 Bytes value);

}  // namespace lambdaml::storage::dynamodb
