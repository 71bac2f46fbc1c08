#include "lambdaml/aws/sigv4.h"

#include <algorithm>
#include <array>
#include <ctime>

#include <fmt/core.h>

#include "lambdaml/aws/digest.h"

namespace lambdaml::aws {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

bool is_unreserved(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

std::string encode_but(std::string_view text, bool keep_slash) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size() + 16);
  for (const char c : text) {
    if (is_unreserved(c) || (keep_slash && c == '/')) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', kDigits[byte >> 4U], kDigits[byte & 0xFU]};
    }
  }
  return out;
}

std::string hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  out.reserve(2 * bytes.size());
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += {kDigits[byte >> 4U], kDigits[byte & 0xFU]};
  }
  return out;
}

std::string hmac(std::string_view key, std::string_view text) {
  return std::string(as_text(hmac_sha256(as_bytes(key), text)));
}

/// Blanks around the value go, blanks in a row become one.
void append_collapsed(std::string& out, std::string_view value) {
  bool blank = false;
  const std::size_t begin = out.size();
  for (const char c : value) {
    if (c == ' ' || c == '\t') {
      blank = true;
      continue;
    }
    if (blank && out.size() > begin) out += ' ';
    blank = false;
    out += c;
  }
}

/// "20130524T000000Z"
std::string stamp(std::chrono::system_clock::time_point now) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}Z", utc.tm_year + 1900, utc.tm_mon + 1,
                     utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

}  // namespace

std::string encode(std::string_view text) { return encode_but(text, false); }
std::string encode_path(std::string_view path) { return encode_but(path, true); }

std::string encode_query(const Query& query) {
  Query encoded;
  encoded.reserve(query.size());
  for (const auto& [name, value] : query) encoded.emplace_back(encode(name), encode(value));
  std::ranges::sort(encoded);
  std::string out;
  for (const auto& [name, value] : encoded) {
    if (!out.empty()) out += '&';
    out += name + "=" + value;
  }
  return out;
}

std::string sha256_hex(Bytes bytes) { return hex(as_text(sha256(bytes))); }

Headers Signer::sign(const ToSign& request, const Credentials& credentials,
                     std::chrono::system_clock::time_point now) const {
  const std::string time = stamp(now);
  const std::string_view date = std::string_view(time).substr(0, 8);
  const bool is_s3 = service_ == "s3";
  Headers added = {{"x-amz-date", time}};
  if (!credentials.session_token.empty())
    added.emplace_back("x-amz-security-token", credentials.session_token);
  if (is_s3) added.emplace_back("x-amz-content-sha256", request.payload_hash);

  std::vector<const std::pair<std::string, std::string>*> signed_headers;
  for (const auto& header : request.headers) signed_headers.push_back(&header);
  for (const auto& header : added) signed_headers.push_back(&header);
  std::ranges::stable_sort(signed_headers, {},
                           [](const auto* header) -> const std::string& { return header->first; });

  // S3 signs the path as it is sent, every other service encodes it once more.
  std::string canonical;
  canonical.reserve(1024);
  canonical.append(request.method).append("\n");
  canonical.append(is_s3 ? std::string(request.path) : encode_path(request.path)).append("\n");
  canonical.append(request.query).append("\n");
  std::string names;
  for (const auto* header : signed_headers) {
    canonical.append(header->first).append(":");
    append_collapsed(canonical, header->second);
    canonical.append("\n");
    if (!names.empty()) names += ';';
    names += header->first;
  }
  canonical.append("\n").append(names).append("\n").append(request.payload_hash);

  const std::string scope = fmt::format("{}/{}/{}/aws4_request", date, region_, service_);
  const std::string text =
      fmt::format("{}\n{}\n{}\n{}", kAlgorithm, time, scope, sha256_hex(as_bytes(canonical)));
  const std::string signature = hex(hmac(key_for(date, credentials.secret_key), text));
  added.emplace_back("authorization",
                     fmt::format("{} Credential={}/{}, SignedHeaders={}, Signature={}", kAlgorithm,
                                 credentials.access_key, scope, names, signature));
  return added;
}

std::string Signer::key_for(std::string_view date, const std::string& secret_key) const {
  const std::lock_guard lock(mutex_);
  if (key_date_ != date || key_secret_ != secret_key) {
    key_ = hmac(hmac(hmac(hmac("AWS4" + secret_key, date), region_), service_), "aws4_request");
    key_date_ = date;
    key_secret_ = secret_key;
  }
  return key_;
}

}  // namespace lambdaml::aws
