#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <sys/uio.h>

namespace lambdaml {

/// How a client encrypts a connection, and whom it trusts.
struct TlsOptions {
  /// File of the certificates that are trusted; empty: the system's, or those of SSL_CERT_FILE.
  std::string ca;
  /// The name or address that the peer's certificate must be for; empty: the host that is connected
  /// to.
  std::string name = {};
  /// Endings of error messages that say what to do: about a certificate that is not trusted, and
  /// about a server that does not use TLS. Without a full stop.
  std::string about_trust = "";
  std::string about_server = "";
};

/// A client's end of TLS, 1.2 or newer, over a connection. libssl is loaded on the first use, so
/// processes that do not use TLS start without it. Used by one thread at a time; not movable.
///
/// The connection below is given as functions; what they throw passes through. After an error or an
/// exception the session must not be used. Does not send TLS's closing message: the protocols above
/// notice a truncated answer by themselves.
class TlsSession {
 public:
  struct Line {
    /// Receives at least one byte; 0 at the end of the connection. If `may_wait` is false and there
    /// is nothing yet: nullopt.
    std::function<std::optional<std::size_t>(std::span<char>, bool may_wait)> receive;
    std::function<void(std::string_view)> send;
  };

  /// Completes the handshake. Throws invalid_argument (no certificates in the given file),
  /// permission_denied (the peer's certificate does not match, or the peer refuses this client) and
  /// unavailable (no libssl on this machine, the peer does not speak TLS, or the connection ended).
  TlsSession(Line line, const TlsOptions& options);
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;
  ~TlsSession();

  void send(std::span<const iovec> pieces);
  /// What is available, at least one byte; 0 at the end of the connection. Throws unavailable for
  /// bytes that are no TLS.
  std::size_t receive(std::span<char> to);
  /// Whether receive() would return, or throw, without waiting. TLS has messages of its own, which
  /// are taken here and do not count.
  bool is_readable();

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace lambdaml
