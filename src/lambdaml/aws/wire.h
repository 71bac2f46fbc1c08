#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/aws/message.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/service/patience.h"

/// HTTP/1.1 on persistent connections. The only user of libcurl (curl_library.h loads it).
namespace lambdaml::aws {

/// One request in flight, and its outcome.
struct Exchange {
  std::string method;
  std::string url;
  Headers headers;  ///< sent unchanged, including Host
  Bytes body;
  std::span<std::byte> into;                  ///< see Request::into
  std::size_t most_bytes = kMostAnswerBytes;  ///< see Request::most_bytes

  Response response;
  /// Why there is no whole answer; empty if there is one.
  std::string failure;
  Code failure_code = Code::unavailable;  ///< unavailable: worth a retry
  bool begun = false;                     ///< the first byte of the answer has arrived
  /// How often the request was sent; libcurl itself resends it if a kept connection turns out dead.
  int sent = 0;
};

struct WireOptions {
  /// The time limit for establishing a connection, TLS included.
  double connect_timeout_s = 3;
  /// The patience with the service, of which every request is a try; null: its own, with the
  /// standard policy.
  std::shared_ptr<Patience> patience = {};
  /// Connects directly even if http_proxy is set: for addresses of this machine.
  bool no_proxy = false;
};

/// Connections driven by one thread at a time. TLS peers are verified, against AWS_CA_BUNDLE if
/// that is set. Nothing happens between two calls of wait(). A request fails as `unavailable` at
/// the deadline of its Patience::Try; the patience is told.
class Wire {
 public:
  explicit Wire(WireOptions options);
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;
  ~Wire();

  /// Starts a request; the exchange must stay in place until wait() returns it or it is stopped.
  void start(Exchange& exchange);
  /// Waits up to `seconds` for exchanges to end and returns those that have. Throws
  /// Error(cancelled) if the process is interrupted.
  std::vector<Exchange*> wait(double seconds);
  /// Aborts an exchange in progress and closes its connection.
  void stop(Exchange& exchange);
  /// Aborts all exchanges in progress and closes their connections; each exchange records what was
  /// sent.
  void stop_all();
  /// start() and wait() for a single exchange when no other is in progress; at most `seconds`.
  void perform(Exchange& exchange, double seconds);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Wires for any number of threads: each takes one for a call and returns it with its connections.
/// Thread-safe.
class WirePool {
 public:
  explicit WirePool(WireOptions options) : options_(std::move(options)) {}

  class Lease {
   public:
    Lease(WirePool& pool, std::unique_ptr<Wire> wire) : pool_(pool), wire_(std::move(wire)) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease();
    Wire& operator*() const { return *wire_; }
    Wire* operator->() const { return wire_.get(); }

   private:
    WirePool& pool_;
    std::unique_ptr<Wire> wire_;
  };
  Lease take();

 private:
  WireOptions options_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Wire>> idle_;
};

/// Seconds since 1970 of a Date header; nullopt if it is invalid.
std::optional<std::int64_t> parse_date(std::string_view text);

}  // namespace lambdaml::aws
