#pragma once

#include <array>
#include <string_view>

#include "lambdaml/base/bytes.h"

/// The hashes of AWS's protocols, computed by OpenSSL's libcrypto, which is loaded on first use.
/// Throws unavailable if this machine has none. Thread-safe.
namespace lambdaml::aws {

using Sha256 = std::array<std::byte, 32>;
using Md5 = std::array<std::byte, 16>;
using Sha1 = std::array<std::byte, 20>;

/// About 0.6 ms per MB.
Sha256 sha256(Bytes bytes);
Sha256 hmac_sha256(Bytes key, std::string_view text);
/// Only against accidental damage: S3's ETags and Content-MD5.
Md5 md5(Bytes bytes);
/// Only for names of files of the AWS tools.
Sha1 sha1(Bytes bytes);

}  // namespace lambdaml::aws
