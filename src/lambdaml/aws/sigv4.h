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
/// encode(), but `/` is kept.
std::string encode_path(std::string_view path);
/// `name=value&…`, encoded and sorted by encoded name, then value. Sent in the form that is signed.
std::string encode_query(const Query& query);

/// 64 lower-case hexadecimal digits. About 0.6 ms per MB.
std::string sha256_hex(Bytes bytes);

/// The value of x-amz-content-sha256 if TLS protects the payload (S3 only).
inline constexpr std::string_view kUnsignedPayload = "UNSIGNED-PAYLOAD";

/// Whether a service has S3's rules for signatures: the path is signed as it is sent, and the
/// payload has a header.
inline bool is_s3(std::string_view service) { return service == "s3" || service == "s3express"; }

/// The signed parts of a request.
struct ToSign {
  std::string_view method;
  std::string_view path;   ///< as sent
  std::string_view query;  ///< by encode_query()
  /// All are signed; names in lower case; including `host`, with its port unless that is the
  /// scheme's default.
  const Headers& headers;
  std::string_view payload_hash;
};

/// "20130524T000000Z", the format of x-amz-date.
std::string time_stamp(WallTime time);

/// What a signature is valid for. Views must live as long as the call.
struct Scope {
  std::string_view time;  ///< by time_stamp()
  std::string_view region;
  std::string_view service;
  /// "20130524/us-east-1/s3/aws4_request"
  std::string text() const;
  std::string_view date() const { return time.substr(0, 8); }
};

/// The key for this scope's day, region and service, derived from the secret.
std::string signing_key(std::string_view secret_key, const Scope& scope);
/// 64 lower-case hexadecimal digits. `request.headers` are sorted by name, x-amz-date among them.
std::string signature_of(const ToSign& request, const Scope& scope, std::string_view signing_key);

/// The query of a presigned GET, which anybody may send until it expires: `query`, encoded, with
/// the signature. Only the header `host` is signed, and no body.
std::string presigned_query(std::string_view host, std::string_view path, Query query,
                            const Scope& scope, const Credentials& credentials, int expires_s);

/// Signs for one service in one region. Thread-safe; takes about 5 µs per signature because the
/// derived key is kept for the day.
class Signer {
 public:
  Signer(std::string service, std::string region, std::string token_header = "x-amz-security-token")
      : service_(std::move(service)),
        region_(std::move(region)),
        token_header_(std::move(token_header)) {}

  /// The headers to add to the signed ones: x-amz-date, the token's (with session
  /// credentials), x-amz-content-sha256 (S3), and authorization.
  Headers sign(const ToSign& request, const Credentials& credentials, WallTime now) const;

 private:
  std::string key_for(const Scope& scope, const std::string& secret_key) const;

  std::string service_;
  std::string region_;
  std::string token_header_;
  mutable std::mutex mutex_;
  mutable std::string key_date_, key_secret_, key_;
};

}  // namespace lambdaml::aws
