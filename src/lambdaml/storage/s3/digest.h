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
/// The header with the same XXH3 (64 bits, big-endian, base64), which S3 compares with what it
/// received before it stores anything; since 2026.
inline constexpr std::string_view kServerChecksumHeader = "x-amz-checksum-xxhash3";
std::string server_checksum(Bytes value);

/// Whether `value` matches the headers of its object: kChecksumHeader, or, if other software wrote
/// the object, kServerChecksumHeader or, where ETags of this kind of bucket may be MD5s, an ETag
/// that is one (not for multipart uploads or objects under SSE-KMS or SSE-C). True if there is
/// none.
bool is_whole(Bytes value, const aws::Response& answer, bool etag_may_be_md5);

/// The checksum that DeleteObjects requires: Content-MD5, or where that is not known
/// x-amz-checksum-sha256; base64.
std::string content_md5(Bytes body);
std::string content_sha256(Bytes body);

}  // namespace lambdaml::storage::s3
