#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/deadline.h"

/// Signed requests to one AWS service, or to what speaks its protocol.
namespace lambdaml::aws {

using Headers = std::vector<std::pair<std::string, std::string>>;

/// What is asked. Views live as long as the call.
struct Request {
  std::string method = "GET";
  /// Encoded once, as it is sent, beginning with `/`: see encode_path() in sigv4.h.
  std::string path = "/";
  /// Names and values before encoding, in any order.
  std::vector<std::pair<std::string, std::string>> query;
  Headers headers;
  Bytes body;
  /// Instead of the service's own host, e.g. a bucket's; empty: the service's.
  std::string host;
  /// Where the body of the answer goes, when its place is known before (a part of a large object).
  /// Empty: into a Buffer of its own. An answer that does not fit exactly is data_corrupt.
  std::span<std::byte> into = {};
};

/// What was answered, whatever its status.
struct Response {
  int status = 0;
  Headers headers;  ///< names in lower case
  Buffer body;

  bool ok() const { return status >= 200 && status < 300; }
  /// The first header of that name (in lower case); empty when there is none.
  std::string_view header(std::string_view name) const;
};

/// What a service's protocol says about an answer.
enum class Verdict {
  answer,       ///< hand it to the caller, errors included
  again,        ///< passing (throttled, conflict under way, server fault): send again after a pause
  credentials,  ///< the credentials have expired: fetch fresh ones and send again, once
  clock,        ///< this machine's clock is off: take the answer's Date for the time, once
};

struct ClientOptions {
  std::string service;   ///< as in the signature: "s3", "dynamodb", "lambda"
  std::string region;    ///< empty: region_for() of environment.h
  std::string endpoint;  ///< "http://host:port"; empty: endpoint_for() of environment.h
  std::function<Verdict(const Response&)> judge;  ///< empty: by status alone (429, 500, 502–504)
  int attempts = 6;                               ///< of one request, the first included
  double first_pause_s = 0.025;  ///< doubles, up to longest_pause_s, jittered to 50–100 %
  double longest_pause_s = 5;
  std::size_t in_flight = 32;  ///< requests of one call_all() under way at once
  double connect_timeout_s = 3;
  double idle_timeout_s = 20;  ///< a request ends as `unavailable` when no byte moves for so long
};

/// A service at an endpoint. Keeps connections open between calls; thread-safe, and without threads
/// of its own: what a frozen function leaves behind are sockets, and one that died is replaced and
/// the request sent again.
class Client {
 public:
  explicit Client(ClientOptions options);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client();

  /// Sends, with retries, and returns the answer that `judge` lets through. Throws `unavailable`
  /// (refused, unknown host, reset, timed out, throttled to the end; names the endpoint, the
  /// operation (`what`) and the last cause), permission_denied (no credentials), deadline_exceeded.
  Response call(const Request& request, std::string_view what,
                Deadline deadline = Deadline::never());
  /// Several at once, at most `in_flight` at a time; the answers in the order of the requests.
  /// Throws the first failure after all others have ended.
  std::vector<Response> call_all(std::span<const Request> requests, std::string_view what,
                                 Deadline deadline = Deadline::never());

  const std::string& region() const;
  /// Without credentials, for messages: "http://127.0.0.1:8000".
  const std::string& endpoint() const;
  /// How many requests were sent so far, retries included.
  std::uint64_t sent() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lambdaml::aws
