#pragma once

#include <string>
#include <string_view>

#include "lambdaml/aws/message.h"
#include "lambdaml/base/bytes.h"

/// How values are verified.
namespace lambdaml::storage::s3 {

/// The header with a value's XXH3 (16 hexadecimal digits).
inline constexpr std::string_view kChecksumHeader = "x-amz-meta-lambdaml-xxh3";
std::string checksum_text(Bytes value);

/// Whether `value` matches the headers of its object: kChecksumHeader, or, if other software wrote
/// the object, an ETag that is an MD5 (not for multipart uploads or objects under SSE-KMS or
/// SSE-C). True if neither is available.
bool is_whole(Bytes value, const aws::Response& answer);

/// The header Content-MD5, which DeleteObjects requires: base64.
std::string content_md5(Bytes body);

}  // namespace lambdaml::storage::s3
