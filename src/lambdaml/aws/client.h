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

/// Signed requests to one AWS service, or to what speaks its protocol.
namespace lambdaml::aws {

/// What a service's protocol says about an answer.
enum class Verdict {
  answer,  ///< hand it to the caller, errors included
  /// Passing (throttled, conflict under way, server fault), or no answer of the service at all, for
  /// it lacks its marks: send again after a pause.
  again,
  credentials,  ///< the credentials have expired: fetch fresh ones and send again, once
  clock,        ///< this machine's clock is off: take the answer's Date for the time, once
};

struct ClientOptions {
  std::string service = {};   ///< as in the signature: "s3", "dynamodb", "lambda"
  std::string region = {};    ///< empty: as find_place() of environment.h says
  std::string endpoint = {};  ///< "http://host:port"; empty: as find_place() says
  std::function<Verdict(const Response&)> judge =
      {};  ///< empty: by status alone (429, 500, 502–504)
  /// An answer's error in words for messages, without secrets; empty: "HTTP 503".
  std::function<std::string(const Response&)> explain = {};
  /// Called once for each time that a request was sent, retries included.
  std::function<void(const Request&)> on_sent = {};
  int attempts = 6;              ///< of one request, the first included
  double first_pause_s = 0.025;  ///< doubles, up to longest_pause_s, jittered to 50–100 %
  double longest_pause_s = 5;
  std::size_t in_flight = 32;  ///< requests of one call_all() under way at once
  double connect_timeout_s = 3;
  /// With the service: bounds each request with its tries. Null: one of its own, by the standard
  /// policy.
  std::shared_ptr<Patience> patience = {};
};

/// A service at an endpoint. Keeps connections open between calls; thread-safe, and without threads
/// of its own: what a frozen function leaves behind are sockets, and one that died is replaced and
/// the request sent again. Constructing one sends nothing, loads no certificates and looks for no
/// credentials.
///
/// A call costs about 50 µs of this machine's time, plus 0.6 ms per MB that is hashed (over TLS S3
/// needs no hash).
class Client {
 public:
  /// Throws invalid_argument (no region, a bad endpoint).
  explicit Client(ClientOptions options);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client();

  /// Sends, with retries, and returns the answer that `judge` lets through. Throws `unavailable`
  /// (refused, unknown host, cut, silent or slow for longer than the patience lasts, throttled to
  /// the end; names the endpoint, the operation (`what`) and the last cause), permission_denied (no
  /// credentials, an unknown certificate), data_corrupt (an answer that does not fit `into`, or is
  /// longer than `most_bytes`), deadline_exceeded, cancelled (interrupted). At the deadline,
  /// requests that nobody has begun to answer end; an answer that has begun is read to its end, as
  /// long as it moves. With a deadline that has passed before, nothing is sent.
  Response call(const Request& request, std::string_view what,
                Deadline deadline = Deadline::never());
  /// Several at once, at most `in_flight` at a time; the answers in the order of the requests.
  /// Throws the first failure after all others have ended.
  std::vector<Response> call_all(std::span<const Request> requests, std::string_view what,
                                 Deadline deadline = Deadline::never());

  const std::string& region() const;
  /// Without credentials, for messages: "http://127.0.0.1:8000".
  const std::string& endpoint() const;
  /// Whether the endpoint is another than AWS's own.
  bool is_custom() const;
  /// The endpoint's host without scheme and port: what a bucket's name is put in front of.
  const std::string& host() const;
  bool uses_tls() const;
  /// How many requests were sent so far, retries included.
  std::uint64_t sent() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lambdaml::aws
