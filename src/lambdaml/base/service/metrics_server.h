#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "lambdaml/base/formats/metrics_text.h"

namespace lambdaml {

/// Serves numbers of this process at http://host:port/metrics, without authentication, in a thread
/// of its own. On a loopback host, requests by another name than 127.0.0.1, ::1 or localhost (a
/// foreign Host, of a web page whose name leads here) get 403. A client has a few seconds and 8 KB
/// for its request, and a few seconds to receive the answer; if there are too many, the oldest
/// connection is closed.
class MetricsServer {
 public:
  /// `page` is called on the server's thread, from now on. Port 0 picks a free one. Throws
  /// already_exists if the port is in use, permission_denied if only root may use it,
  /// invalid_argument if the host is not this machine.
  MetricsServer(const std::string& host, std::uint16_t port, std::function<MetricsText()> page);
  ~MetricsServer();
  std::uint16_t port() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace lambdaml
