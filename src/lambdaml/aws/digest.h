#pragma once

#include <array>
#include <string_view>

#include "lambdaml/base/bytes.h"

/// The hashes of AWS's protocols, by OpenSSL's libcrypto, which is loaded when the first is made.
/// Throws unavailable when this machine has none. Any thread may call.
namespace lambdaml::aws {

using Sha256 = std::array<std::byte, 32>;
using Md5 = std::array<std::byte, 16>;

/// About 0.6 ms per MB.
Sha256 sha256(Bytes bytes);
Sha256 hmac_sha256(Bytes key, std::string_view text);
/// Against accidents on the way only: S3's ETags and Content-MD5.
Md5 md5(Bytes bytes);

}  // namespace lambdaml::aws
