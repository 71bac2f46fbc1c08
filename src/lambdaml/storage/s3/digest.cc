#include "lambdaml/storage/s3/digest.h"

#include <algorithm>
#include <array>

#include <fmt/core.h>
#include <openssl/evp.h>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"

namespace lambdaml::storage::s3 {
namespace {

using Md5 = std::array<unsigned char, 16>;

Md5 md5(Bytes bytes) {
  Md5 out{};
  unsigned size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), out.data(), &size, EVP_md5(), nullptr) != 1)
    fail(Code::internal, "OpenSSL has no MD5 here");
  return out;
}

/// The MD5 that the ETag is; empty when it is none.
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

std::string checksum_text(Bytes value) { return fmt::format("{:016x}", checksum(value)); }

bool is_whole(Bytes value, const aws::Response& answer) {
  if (const std::string_view known = answer.header(kChecksumHeader); !known.empty())
    return known == checksum_text(value);
  const std::string known = md5_in_etag(answer);
  if (known.empty()) return true;
  std::string found;
  for (const unsigned char byte : md5(value)) found += fmt::format("{:02x}", byte);
  return found == known;
}

std::string content_md5(Bytes body) {
  const Md5 digest = md5(body);
  std::array<unsigned char, 25> text{};
  const int size = EVP_EncodeBlock(text.data(), digest.data(), static_cast<int>(digest.size()));
  return {reinterpret_cast<const char*>(text.data()), static_cast<std::size_t>(size)};
}

}  // namespace lambdaml::storage::s3
