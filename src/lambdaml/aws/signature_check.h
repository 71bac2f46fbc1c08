#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/aws/message.h"
#include "lambdaml/aws/sigv4.h"

/// The server's side of Signature Version 4: checking a signed request.
namespace lambdaml::aws {

/// A request as received. Views must live as long as the call.
struct ReceivedRequest {
  std::string_view method;
  std::string_view target;  ///< path and query as they were sent
  const Headers& headers;   ///< names in any case; a repeated header is two entries
};

/// Why a request is refused, in AWS's terms and without secrets.
struct Refusal {
  int status = 403;
  std::string type;
  std::string message;
};

/// Checks signatures in the header Authorization, made for one service in any region. A request
/// must be signed within five minutes of this machine's clock, with one of the accepted keys; the
/// signature must cover method, path, query, the header Host, every header x-amz-…, and the body. A
/// session token must be that of the keys if present; a request may omit it. Presigned URLs and
/// unsigned or streamed payloads are refused. Thread-safe.
///
/// Within these five minutes a request can be replayed, as on AWS.
class SignatureCheck {
 public:
  SignatureCheck(std::string service, std::vector<Credentials> accepted)
      : service_(std::move(service)), accepted_(std::move(accepted)) {}

  /// Checks what the head alone shows: form, key, scope, time, token. Computes no hash, so that the
  /// body of an unauthorized request need not be read.
  std::optional<Refusal> check_head(const ReceivedRequest& request, WallTime now) const;
  /// Checks everything. Hashes the body: 0.6 ms per MB. Its duration does not reveal how much of a
  /// signature is right.
  std::optional<Refusal> check(const ReceivedRequest& request, Bytes body, WallTime now) const;

 private:
  std::string service_;
  std::vector<Credentials> accepted_;
};

}  // namespace lambdaml::aws
