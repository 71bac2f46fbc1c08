#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "lambdaml/base/bytes.h"

/// How keys and folders become the names of Memcached's items: at most 250 bytes, no blanks, and
/// different from what others keep there.
namespace lambdaml::storage::memcached {

/// The item that holds a key's value: `lambdaml=KEY`, with blanks and percent signs written `%20`
/// and `%25`. Where that is too long, `lambdaml#HASH` with 128 bits of hash, and the value begins
/// with the key (see framed()).
std::string item_of_key(std::string_view key);

/// The item that lists a folder (`a/b`; the root is empty): `lambdaml/FOLDER`, or its hash.
std::string item_of_folder(std::string_view folder);

/// Whether the value of this item begins with its key.
bool is_hashed(std::string_view item);
/// The longest that framed() adds to a value.
constexpr std::size_t kMostFrameBytes = 201;

/// A value as it lies under a hashed item.
Buffer framed(std::string_view key, Bytes value);
/// The value again. Throws data_corrupt when it belongs to another key.
Bytes unframed(std::string_view key, Bytes framed);

/// `a/b/c` → `a/b`, `c`; `c` → ``, `c`. The parts live as long as `key`.
std::pair<std::string_view, std::string_view> split_key(std::string_view key);
/// The reverse.
std::string join_key(std::string_view folder, std::string_view name);

}  // namespace lambdaml::storage::memcached
