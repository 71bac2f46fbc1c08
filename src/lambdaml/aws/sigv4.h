#pragma once

#include <mutex>
#include <string>
#include <string_view>

#include "lambdaml/aws/message.h"
#include "lambdaml/base/bytes.h"
#include "lambdaml/base/clock.h"

/// AWS Signature Version 4: "Create a signed AWS API request", AWS IAM User Guide.
namespace lambdaml::aws {

inline constexpr std::string_view kSignatureAlgorithm = "AWS4-HMAC-SHA256";

struct Credentials {
  std::string access_key;
  std::string secret_key;
  std::string session_token;  ///< empty for long-lived ones
  bool operator==(const Credentials&) const = default;
};

/// Percent-encodes all but the unreserved characters of RFC 3986.
std::string encode(std::string_view text);
/// encode(), but `/` stays.
std::string encode_path(std::string_view path);
/// `name=value&…`, encoded and sorted by encoded name, then value: what is sent is what is signed.
std::string encode_query(const Query& query);

/// 64 lower-case hexadecimal digits. About 0.6 ms per MB.
std::string sha256_hex(Bytes bytes);

/// What x-amz-content-sha256 says where TLS guards the payload (S3 only).
inline constexpr std::string_view kUnsignedPayload = "UNSIGNED-PAYLOAD";

/// What a signature covers.
struct ToSign {
  std::string_view method;
  std::string_view path;   ///< as it is sent
  std::string_view query;  ///< by encode_query()
  /// All are signed; names in lower case; `host` among them, with a port that is not the scheme's
  /// own.
  const Headers& headers;
  std::string_view payload_hash;
};

/// "20130524T000000Z", as x-amz-date says it.
std::string time_stamp(WallTime time);

/// What a signature holds for. Views live as long as the call.
struct Scope {
  std::string_view time;  ///< by time_stamp()
  std::string_view region;
  std::string_view service;
  /// "20130524/us-east-1/s3/aws4_request"
  std::string text() const;
  std::string_view date() const { return time.substr(0, 8); }
};

/// The key that signs in this scope's day, region and service, derived from the secret.
std::string signing_key(std::string_view secret_key, const Scope& scope);
/// 64 lower-case hexadecimal digits. `request.headers` are sorted by name, x-amz-date among them.
std::string signature_of(const ToSign& request, const Scope& scope, std::string_view signing_key);

/// Signs for one service in one region. Thread-safe; about 5 µs a signature, for the key that is
/// derived from the secret is kept for the day.
class Signer {
 public:
  Signer(std::string service, std::string region)
      : service_(std::move(service)), region_(std::move(region)) {}

  /// The headers to send besides the signed ones: x-amz-date, x-amz-security-token (with session
  /// credentials), for S3 x-amz-content-sha256, and authorization.
  Headers sign(const ToSign& request, const Credentials& credentials, WallTime now) const;

 private:
  std::string key_for(const Scope& scope, const std::string& secret_key) const;

  std::string service_;
  std::string region_;
  mutable std::mutex mutex_;
  mutable std::string key_date_, key_secret_, key_;
};

}  // namespace lambdaml::aws
