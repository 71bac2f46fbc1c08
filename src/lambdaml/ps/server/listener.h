#pragma once

#include <memory>

#include <thrift/transport/TServerSocket.h>
#include <thrift/transport/TSocket.h>
#include <thrift/transport/TVirtualTransport.h>

#include "lambdaml/ps/server.h"
#include "lambdaml/ps/server/peers.h"

namespace lambdaml::ps {

/// The server's end of a connection: the socket, with or without TLS, which reports progress to the
/// Peer. For .cc files of this layer.
class PeerTransport final : public ::apache::thrift::transport::TVirtualTransport<PeerTransport> {
 public:
  /// `wants_token`: a first request alone does not admit the peer.
  PeerTransport(std::shared_ptr<::apache::thrift::transport::TSocket> socket, Peers& peers,
                std::shared_ptr<Peer> peer, bool wants_token);
  ~PeerTransport() override;

  const std::shared_ptr<Peer>& peer() const { return peer_; }

  bool isOpen() const override { return socket_->isOpen(); }
  bool peek() override { return socket_->peek(); }
  void close() override;
  std::uint32_t read(std::uint8_t* to, std::uint32_t size);
  /// A request has been read.
  std::uint32_t readEnd() override;
  void write(const std::uint8_t* from, std::uint32_t size);
  /// An answer has been written.
  void flush() override;
  const std::string getOrigin() const override { return socket_->getOrigin(); }

 private:
  const std::shared_ptr<::apache::thrift::transport::TSocket> socket_;
  Peers& peers_;
  const std::shared_ptr<Peer> peer_;
  const bool wants_token_;
  const bool is_tls_;
};

/// The listening socket of a server with these settings, which accepts PeerTransports. Throws
/// invalid_argument (a bad certificate or key).
std::shared_ptr<::apache::thrift::transport::TServerSocket> make_listener(
    const ServerSettings& settings, Peers& peers);

}  // namespace lambdaml::ps
