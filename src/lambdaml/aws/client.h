#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/aws/message.h"
#include "lambdaml/base/deadline.h"
#include "lambdaml/base/service/patience.h"

/// Signed requests to one AWS service, or to a service that speaks its protocol.
namespace lambdaml::aws {

class CredentialsProvider;
class Pace;

/// What to do with an answer according to the service's protocol.
enum class Verdict {
  answer,  ///< return it to the caller, errors included
  /// A temporary condition (throttling, a conflict, a server fault), or an answer that does not
  /// come from the service because it lacks its marks: send again after a pause.
  again,
  slow_down,    ///< the same, as there are too many requests: the client's pace is lowered
  credentials,  ///< the credentials have expired: fetch fresh ones and send again, once
  clock,        ///< this machine's clock is off: use the answer's Date as the time, once
};

struct ClientOptions {
  std::string service = {};   ///< as in the signature: "s3", "s3express", "dynamodb", "lambda"
  std::string region = {};    ///< empty: from find_place() of environment.h
  std::string endpoint = {};  ///< "http://host:port"; empty: from find_place()
  std::function<Verdict(const Response&)> judge =
      {};  ///< empty: by status alone (429, 500, 502–504)
  /// Describes an answer's error for messages, without secrets; empty: "HTTP 503".
  std::function<std::string(const Response&)> explain = {};
  /// Called each time a request is sent, retries included.
  std::function<void(const Request&)> on_sent = {};
  /// Null: the process's own.
  std::shared_ptr<CredentialsProvider> credentials = {};
  /// The header with the token of temporary credentials.
  std::string token_header = "x-amz-security-token";
  bool anonymous = false;        ///< sign nothing, look for no credentials
  int attempts = 6;              ///< per request, the first included
  double first_pause_s = 0.025;  ///< doubles, up to longest_pause_s, jittered to 50–100 %
  double longest_pause_s = 5;
  std::size_t in_flight = 32;  ///< requests of one call_all() under way at once
  /// How fast requests are sent; null: as fast as they come.
  std::shared_ptr<Pace> pace = {};
  double connect_timeout_s = 3;
  /// The patience with the service, which bounds each request including its retries. Null: its own,
  /// with the standard policy.
  std::shared_ptr<Patience> patience = {};
};

/// A service at an endpoint. Keeps connections open between calls. Thread-safe, without threads of
/// its own: when a function is frozen only sockets remain, and a dead one is replaced and the
/// request sent again. Construction sends nothing, loads no certificates and looks for no
/// credentials.
///
/// A call takes about 50 µs of this machine's time, plus 0.6 ms per MB that is hashed (S3 over TLS
/// needs no hash).
class Client {
 public:
  /// Throws invalid_argument (no region, a bad endpoint).
  explicit Client(ClientOptions options);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client();

  /// Sends the request, with retries, and returns the answer that `judge` accepts. Throws
  /// `unavailable` (connection refused, unknown host, answer cut off, silent or slow for longer
  /// than the patience, or throttled to the end; names the endpoint, the operation (`what`) and the
  /// last cause), permission_denied (no credentials, an unknown certificate), data_corrupt (an
  /// answer that does not match `into` or exceeds `most_bytes`), deadline_exceeded, or cancelled
  /// (interrupted). At the deadline, requests without any answer yet are ended; an answer that has
  /// begun is read to its end while bytes arrive. If the deadline has already passed, nothing is
  /// sent.
  Response call(const Request& request, std::string_view what,
                Deadline deadline = Deadline::never());
  /// Sends several requests, at most `in_flight` at a time; answers are in the order of the
  /// requests. Throws the first failure after all others have ended.
  std::vector<Response> call_all(std::span<const Request> requests, std::string_view what,
                                 Deadline deadline = Deadline::never());

  const std::string& region() const;
  /// Without credentials, for messages: "http://127.0.0.1:8000".
  const std::string& endpoint() const;
  /// Whether the endpoint is not AWS's own.
  bool is_custom() const;
  /// The endpoint's host without scheme and port, to which a bucket name may be prefixed.
  const std::string& host() const;
  bool uses_tls() const;
  /// Requests sent so far, retries included.
  std::uint64_t sent() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lambdaml::aws
