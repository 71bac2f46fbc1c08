#include "lambdaml/aws/sigv4.h"

#include <algorithm>
#include <array>
#include <ctime>

#include <fmt/core.h>

#include "lambdaml/aws/digest.h"

namespace lambdaml::aws {
namespace {

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

/// Trims a value and collapses blanks in a row to one.
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

std::string time_stamp(WallTime time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}Z", utc.tm_year + 1900, utc.tm_mon + 1,
                     utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

std::string Scope::text() const {
  return fmt::format("{}/{}/{}/aws4_request", date(), region, service);
}

std::string signing_key(std::string_view secret_key, const Scope& scope) {
  const std::string day = hmac(fmt::format("AWS4{}", secret_key), scope.date());
  return hmac(hmac(hmac(day, scope.region), scope.service), "aws4_request");
}

std::string signature_of(const ToSign& request, const Scope& scope, std::string_view signing_key) {
  // S3 signs the path as sent; every other service encodes it once more.
  std::string canonical;
  canonical.reserve(1024);
  canonical.append(request.method).append("\n");
  canonical.append(is_s3(scope.service) ? std::string(request.path) : encode_path(request.path));
  canonical.append("\n").append(request.query).append("\n");
  std::string names;
  for (const auto& [name, value] : request.headers) {
    canonical.append(name).append(":");
    append_collapsed(canonical, value);
    canonical.append("\n");
    if (!names.empty()) names += ';';
    names += name;
  }
  canonical.append("\n").append(names).append("\n").append(request.payload_hash);
  return hex(hmac(signing_key, fmt::format("{}\n{}\n{}\n{}", kSignatureAlgorithm, scope.time,
                                           scope.text(), sha256_hex(as_bytes(canonical)))));
}

std::string presigned_query(std::string_view host, std::string_view path, Query query,
                            const Scope& scope, const Credentials& credentials, int expires_s) {
  query.emplace_back("X-Amz-Algorithm", kSignatureAlgorithm);
  query.emplace_back("X-Amz-Credential", credentials.access_key + "/" + scope.text());
  query.emplace_back("X-Amz-Date", scope.time);
  query.emplace_back("X-Amz-Expires", std::to_string(expires_s));
  query.emplace_back("X-Amz-SignedHeaders", "host");
  if (!credentials.session_token.empty())
    query.emplace_back("X-Amz-Security-Token", credentials.session_token);
  const std::string encoded = encode_query(query);
  const Headers headers = {{"host", std::string(host)}};
  return encoded + "&X-Amz-Signature=" +
         signature_of({"GET", path, encoded, headers, sha256_hex({})}, scope,
                      signing_key(credentials.secret_key, scope));
}

Headers Signer::sign(const ToSign& request, const Credentials& credentials, WallTime now) const {
  const std::string time = time_stamp(now);
  const Scope scope{time, region_, service_};
  Headers added = {{"x-amz-date", time}};
  if (!credentials.session_token.empty())
    added.emplace_back(token_header_, credentials.session_token);
  if (is_s3(service_)) added.emplace_back("x-amz-content-sha256", request.payload_hash);

  Headers all = request.headers;
  all.insert(all.end(), added.begin(), added.end());
  std::ranges::stable_sort(all, {}, &Headers::value_type::first);
  std::string names;
  for (const auto& [name, value] : all) names += (names.empty() ? "" : ";") + name;
  const std::string signature =
      signature_of({request.method, request.path, request.query, all, request.payload_hash}, scope,
                   key_for(scope, credentials.secret_key));
  added.emplace_back(
      "authorization",
      fmt::format("{} Credential={}/{}, SignedHeaders={}, Signature={}", kSignatureAlgorithm,
                  credentials.access_key, scope.text(), names, signature));
  return added;
}

std::string Signer::key_for(const Scope& scope, const std::string& secret_key) const {
  const std::lock_guard lock(mutex_);
  if (key_date_ != scope.date() || key_secret_ != secret_key) {
    key_ = signing_key(secret_key, scope);
    key_date_ = scope.date();
    key_secret_ = secret_key;
  }
  return key_;
}

}  // namespace lambdaml::aws
