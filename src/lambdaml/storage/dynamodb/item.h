#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lambdaml/base/bytes.h"

/// How a value lies in a table, and the texts that say so: an item of three attributes, the table's
/// key, `value` (bytes; left out when there are none) and `bytes` (their number, so that a list
/// need not carry values).
namespace lambdaml::storage::dynamodb {

/// DynamoDB's limit of an item, names and values of the attributes counted.
constexpr std::uint64_t kMostItemBytes = 409'600;
/// What fits beside a key of 200 bytes, the longest name of its attribute (255), the two others'
/// names and the number.
constexpr std::uint64_t kMostValueBytes = 409'000;

constexpr std::string_view kValueAttribute = "value";
constexpr std::string_view kBytesAttribute = "bytes";

/// The size that DynamoDB bills, a few bytes more for the number.
std::uint64_t item_bytes(std::string_view key_attribute, std::string_view key,
                         std::uint64_t value_bytes);
/// Capacity units of writing and of reading an item consistently.
double write_units(std::uint64_t item_bytes);
double read_units(std::uint64_t item_bytes);

/// Append JSON. `text` must be UTF-8.
void append_string(std::string& out, std::string_view text);
/// {"key":{"S":"…"}}
void append_key(std::string& out, std::string_view key_attribute, std::string_view key);
/// {"key":{"S":"…"},"bytes":{"N":"3"},"value":{"B":"…"}}
void append_item(std::string& out, std::string_view key_attribute, std::string_view key,
                 Bytes value);

}  // namespace lambdaml::storage::dynamodb
