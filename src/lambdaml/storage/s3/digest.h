#pragma once

#include <string>
#include <string_view>

#include "lambdaml/aws/message.h"
#include "lambdaml/base/bytes.h"

/// How a value is known to be whole.
namespace lambdaml::storage::s3 {

/// The header under which a value's XXH3 (16 hexadecimal digits) stands.
inline constexpr std::string_view kChecksumHeader = "x-amz-meta-lambdaml-xxh3";
std::string checksum_text(Bytes value);

/// Whether `value` is what the headers of its object say: by kChecksumHeader; where others have put
/// the object, by an ETag that is an MD5 (not so for uploads in parts and objects under SSE-KMS or
/// SSE-C); else there is nothing to go by, and true.
bool is_whole(Bytes value, const aws::Response& answer);

/// The header Content-MD5, which DeleteObjects wants: base64.
std::string content_md5(Bytes body);

}  // namespace lambdaml::storage::s3
