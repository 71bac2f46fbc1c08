#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "lambdaml/base/bytes.h"

/// RFC 4648, section 4, with padding: the encoding of bytes in JSON.
namespace lambdaml {

/// Appends 4 ⌈n / 3⌉ characters, padded.
void append_base64(std::string& out, Bytes bytes);
std::string encode_base64(Bytes bytes);

/// Returns nullopt for a text that append_base64() would not write.
std::optional<Buffer> decode_base64(std::string_view text);

}  // namespace lambdaml
