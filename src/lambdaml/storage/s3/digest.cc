#include "lambdaml/storage/s3/digest.h"

#include <algorithm>
#include <array>

#include <fmt/core.h>

#include "lambdaml/aws/digest.h"
#include "lambdaml/base/checksum.h"
#include "lambdaml/base/formats/base64.h"

namespace lambdaml::storage::s3 {
namespace {

/// The MD5 in the ETag; empty if the ETag is not an MD5.
std::string md5_in_etag(const aws::Response& answer) {
  std::string_view etag = answer.header("etag");
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"')
    etag = etag.substr(1, etag.size() - 2);
  const bool is_hex = std::ranges::all_of(
      etag, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  const std::string_view encryption = answer.header("x-amz-server-side-encryption");
  const bool encrypted = encryption.starts_with("aws:kms") ||
                         !answer.header("x-amz-server-side-encryption-customer-algorithm").empty();
  return etag.size() == 32 && is_hex && !encrypted ? std::string(etag) : std::string();
}

}  // namespace

std::string checksum_text(Bytes value) { return lambdaml::checksum_text(checksum(value)); }

std::string server_checksum(Bytes value) {
  const std::uint64_t sum = checksum(value);
  std::array<std::byte, 8> bytes;
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<std::byte>(sum >> (56 - 8 * i));
  return encode_base64(bytes);
}

bool is_whole(Bytes value, const aws::Response& answer, bool etag_may_be_md5) {
  if (const std::string_view known = answer.header(kChecksumHeader); !known.empty())
    return known == checksum_text(value);
  // Of an upload in parts it is a checksum of checksums, which ends in the number of parts.
  if (const std::string_view known = answer.header(kServerChecksumHeader);
      !known.empty() && known.find('-') == std::string_view::npos)
    return known == server_checksum(value);
  const std::string known = etag_may_be_md5 ? md5_in_etag(answer) : std::string();
  if (known.empty()) return true;
  std::string found;
  for (const std::byte byte : aws::md5(value)) found += fmt::format("{:02x}", byte);
  return found == known;
}

std::string content_md5(Bytes body) { return encode_base64(aws::md5(body)); }
std::string content_sha256(Bytes body) { return encode_base64(aws::sha256(body)); }

}  // namespace lambdaml::storage::s3
