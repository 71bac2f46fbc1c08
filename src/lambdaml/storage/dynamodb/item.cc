#include "lambdaml/storage/dynamodb/item.h"

#include <algorithm>

#include <fmt/format.h>

#include "lambdaml/base/formats/base64.h"

namespace lambdaml::storage::dynamodb {
namespace {

constexpr std::uint64_t kNumberBytes = 21;  ///< at most, of the attribute `bytes`

void append_key_attribute(std::string& out, std::string_view key_attribute, std::string_view key) {
  append_string(out, key_attribute);
  out += ":{\"S\":";
  append_string(out, key);
  out += '}';
}

double units(std::uint64_t bytes, std::uint64_t per_unit) {
  return static_cast<double>(std::max<std::uint64_t>(1, (bytes + per_unit - 1) / per_unit));
}

}  // namespace

std::uint64_t item_bytes(std::string_view key_attribute, std::string_view key,
                         std::uint64_t value_bytes) {
  return key_attribute.size() + key.size() + kValueAttribute.size() + value_bytes +
         kBytesAttribute.size() + kNumberBytes;
}
double write_units(std::uint64_t item_bytes) { return units(item_bytes, 1024); }
double read_units(std::uint64_t item_bytes) { return units(item_bytes, 4096); }

void append_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  out += '"';
}

void append_key(std::string& out, std::string_view key_attribute, std::string_view key) {
  out += '{';
  append_key_attribute(out, key_attribute, key);
  out += '}';
}

void append_item(std::string& out, std::string_view key_attribute, std::string_view key,
                 Bytes value) {
  out += '{';
  append_key_attribute(out, key_attribute, key);
  fmt::format_to(std::back_inserter(out), R"(,"{}":{{"N":"{}"}})", kBytesAttribute, value.size());
  if (!value.empty()) {
    fmt::format_to(std::back_inserter(out), R"(,"{}":{{"B":")", kValueAttribute);
    append_base64(out, value);
    out += "\"}";
  }
  out += '}';
}

}  // namespace lambdaml::storage::dynamodb
