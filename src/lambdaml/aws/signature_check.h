#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/aws/message.h"
#include "lambdaml/aws/sigv4.h"

/// The other side of Signature Version 4: what a service makes of a signed request.
namespace lambdaml::aws {

/// As it arrived. Views live as long as the call.
struct ReceivedRequest {
  std::string_view method;
  std::string_view target;  ///< path and query as they were sent
  const Headers& headers;   ///< names in any case; one that stands twice is two entries
};

/// Why a request is not carried out, in AWS's terms and without secrets.
struct Refusal {
  int status = 403;
  std::string type;
  std::string message;
};

/// Checks signatures that stand in the header Authorization, made for one service in any region. A
/// request must be signed within five minutes of the clock here, with one of the keys; the
/// signature covers method, path, query, the header Host, every header x-amz-…, and the body. A
/// session token, where there is one, must be that of the keys; where the keys have one, the
/// request need not. Presigned URLs, unsigned and streamed payloads are refused. Thread-safe.
///
/// The same request may come twice in these five minutes, as it may to AWS.
class SignatureCheck {
 public:
  SignatureCheck(std::string service, std::vector<Credentials> accepted)
      : service_(std::move(service)), accepted_(std::move(accepted)) {}

  /// What the head alone tells: form, key, scope, time, token. Costs no hash, so that a body
  /// without a right to be here need not be read.
  std::optional<Refusal> check_head(const ReceivedRequest& request, WallTime now) const;
  /// All of it. Hashes the body: 0.6 ms per MB. The time that it takes does not tell how much of a
  /// signature is right.
  std::optional<Refusal> check(const ReceivedRequest& request, Bytes body, WallTime now) const;

 private:
  std::string service_;
  std::vector<Credentials> accepted_;
};

}  // namespace lambdaml::aws
