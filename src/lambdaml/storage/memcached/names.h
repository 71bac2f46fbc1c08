#pragma once

#include <string>
#include <string_view>

#include "lambdaml/base/bytes.h"

/// How keys and folders become names of Memcached items: at most 250 bytes, no blanks, and distinct
/// from those of other users of the servers.
namespace lambdaml::storage::memcached {

/// The item that holds a key's value: `lambdaml=KEY`, with blanks and percent signs written `%20`
/// and `%25`. If that is too long, `lambdaml#HASH` with a 128-bit hash, and the value is preceded
/// by the key (see framed()).
std::string item_of_key(std::string_view key);

/// The item that lists a folder (`a/b`; the root is empty): `lambdaml/FOLDER`, or its hash.
std::string item_of_folder(std::string_view folder);

/// Whether the item's value is preceded by its key.
bool is_hashed(std::string_view item);
/// The most that framed() adds to a value.
constexpr std::size_t kMostFrameBytes = 201;

/// A value as stored in a hashed item.
Buffer framed(std::string_view key, Bytes value);
/// The reverse of framed(). Throws data_corrupt if the value belongs to another key.
Bytes unframed(std::string_view key, Bytes framed);

}  // namespace lambdaml::storage::memcached
