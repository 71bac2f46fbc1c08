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

/// HTTP/1.1 on kept connections. The one place that knows libcurl (curl_library.h loads it).
namespace lambdaml::aws {

/// One request on its way, and what came of it.
struct Exchange {
  std::string method;
  std::string url;
  Headers headers;  ///< sent as they are, Host among them
  Bytes body;
  std::span<std::byte> into;                  ///< as Request::into
  std::size_t most_bytes = kMostAnswerBytes;  ///< as Request::most_bytes

  Response response;
  /// Why no whole answer came, in words; empty when one did.
  std::string failure;
  Code failure_code = Code::unavailable;  ///< unavailable: worth another try
  bool begun = false;                     ///< the first byte of the answer has come
  /// How often the request left; libcurl itself sends again when a kept connection turns out dead.
  int sent = 0;
};

struct WireOptions {
  /// How long one connection may take to be made, TLS included.
  double connect_timeout_s = 3;
  /// With the service, which every request is a try of; null: one of its own, by the standard
  /// policy.
  std::shared_ptr<Patience> patience = {};
  /// Goes straight to the host, whatever http_proxy says: for addresses of this machine.
  bool no_proxy = false;
};

/// Connections that one thread at a time drives. TLS peers are verified, against AWS_CA_BUNDLE
/// where that is set. Nothing happens between two calls of wait(). A request fails as `unavailable`
/// when the patience with the service is at its end, as Patience::Try says; the patience is told.
class Wire {
 public:
  explicit Wire(WireOptions options);
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;
  ~Wire();

  /// Puts a request on its way; the exchange stays where it is until wait() names it or it is
  /// stopped.
  void start(Exchange& exchange);
  /// Waits up to `seconds` for exchanges to end; names those that have. Throws Error(cancelled)
  /// when the process is interrupted.
  std::vector<Exchange*> wait(double seconds);
  /// Gives up one that is under way, with its connection.
  void stop(Exchange& exchange);
  /// Gives up what is under way, with its connections; an exchange then says what was sent.
  void stop_all();
  /// Without exchanges under way, what start() and wait() do for one; at most `seconds`.
  void perform(Exchange& exchange, double seconds);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Wires for any number of threads: each takes one for a call and gives it back with its
/// connections.
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

/// Seconds since 1970 of a Date header; absent when it is none.
std::optional<std::int64_t> parse_date(std::string_view text);

}  // namespace lambdaml::aws
