#include "lambdaml/storage/memcached/names.h"

#include <cstring>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"

namespace lambdaml::storage::memcached {
namespace {

constexpr std::size_t kLongestItem = 250;
constexpr std::string_view kHashed = "lambdaml#";

std::string item_of(std::string_view kind, std::string_view text) {
  std::string item(kind);
  for (const char c : text) {
    if (c == ' ')
      item += "%20";
    else if (c == '%')
      item += "%25";
    else
      item += c;
  }
  if (item.size() <= kLongestItem) return item;
  return fmt::format("{}{:016x}{:016x}", kHashed, checksum(as_bytes(item), 1),
                     checksum(as_bytes(item), 2));
}

}  // namespace

std::string item_of_key(std::string_view key) { return item_of("lambdaml=", key); }

std::string item_of_folder(std::string_view folder) { return item_of("lambdaml/", folder); }

bool is_hashed(std::string_view item) { return item.starts_with(kHashed); }

Buffer framed(std::string_view key, Bytes value) {
  Buffer out(1 + key.size() + value.size());
  out.data()[0] = static_cast<std::byte>(key.size());
  std::memcpy(out.data() + 1, key.data(), key.size());
  if (!value.empty()) std::memcpy(out.data() + 1 + key.size(), value.data(), value.size());
  return out;
}

Bytes unframed(std::string_view key, Bytes framed) {
  const std::size_t frame = 1 + key.size();
  if (framed.size() < frame || static_cast<std::size_t>(framed[0]) != key.size() ||
      as_text(framed.subspan(1, key.size())) != key)
    fail(Code::data_corrupt, "the value of '{}' belongs to another key", printable(key));
  return framed.subspan(frame);
}

}  // namespace lambdaml::storage::memcached
