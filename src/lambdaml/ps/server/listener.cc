#include "lambdaml/ps/server/listener.h"

#include <type_traits>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <thrift/transport/TSSLServerSocket.h>
#include <thrift/transport/TSSLSocket.h>

#include "lambdaml/base/log.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/ps/transport.h"

namespace lambdaml::ps {
namespace {

using namespace ::apache::thrift;

/// A listener that continues after it failed to accept a connection, where Thrift's would end.
template <class Socket>
class Listener final : public Socket {
 public:
  template <class... Arguments>
  Listener(Peers& peers, bool wants_token, Arguments&&... arguments)
      : Socket(std::forward<Arguments>(arguments)...), peers_(peers), wants_token_(wants_token) {
    // After this time send() returns the bytes sent so far, so that Peers notices clients that
    // receive too slowly. With TLS it would end the connection, which is up to Peers.
    this->setSendTimeout(std::is_same_v<Socket, transport::TServerSocket> ? 1000 : 60'000);
    this->setKeepAlive(true);
    this->setAcceptCallback([](int socket) {
      const int on = 1;
      ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    });
  }

 private:
  using TTransportException = transport::TTransportException;

  std::shared_ptr<transport::TTransport> acceptImpl() override {
    while (true) {
      try {
        auto socket = std::dynamic_pointer_cast<transport::TSocket>(Socket::acceptImpl());
        std::shared_ptr<Peer> peer = peers_.add(socket->getSocketFD());
        if (!peer) throw TTransportException(TTransportException::INTERRUPTED, "the server ends");
        return std::make_shared<PeerTransport>(std::move(socket), peers_, std::move(peer),
                                               wants_token_);
      } catch (const TTransportException& error) {
        if (error.getType() == TTransportException::INTERRUPTED) throw;
        pause(error.what());
      } catch (const std::exception& error) {
        pause(error.what());
      }
    }
  }

  /// The client has already disconnected, or there are no more descriptors.
  void pause(const char* why) {
    log::warning("taking a connection: {}", why);
    peers_.drop_unknown();
    try {
      pause_for(0.02);
    } catch (const Error&) {
      // Interrupted: the server is ending, and the next accept reports that.
    }
  }

  Peers& peers_;
  const bool wants_token_;
};

}  // namespace

PeerTransport::PeerTransport(std::shared_ptr<transport::TSocket> socket, Peers& peers,
                             std::shared_ptr<Peer> peer, bool wants_token)
    : socket_(std::move(socket)),
      peers_(peers),
      peer_(std::move(peer)),
      wants_token_(wants_token),
      is_tls_(std::dynamic_pointer_cast<transport::TSSLSocket>(socket_) != nullptr) {
  socket_->setConfiguration(make_configuration());
  socket_->updateKnownMessageSize(-1);
}

PeerTransport::~PeerTransport() { close(); }

void PeerTransport::close() {
  peers_.remove(peer_);
  socket_->close();
}

std::uint32_t PeerTransport::read(std::uint8_t* to, std::uint32_t size) {
  const std::uint32_t n = socket_->read(to, size);
  if (n > 0) peer_->received(n);
  return n;
}

std::uint32_t PeerTransport::readEnd() {
  peer_->request_paused();
  if (!wants_token_) peer_->admit();
  return 0;
}

void PeerTransport::write(const std::uint8_t* from, std::uint32_t size) {
  // With encryption, progress is known only per whole piece.
  constexpr std::uint32_t kPiece = 64 << 10;
  while (size > 0) {
    peer_->sending();
    const std::uint32_t n = socket_->write_partial(from, is_tls_ ? std::min(size, kPiece) : size);
    peer_->sent(n);
    from += n;
    size -= n;
  }
}

void PeerTransport::flush() {
  socket_->flush();
  peer_->answered();
}

std::shared_ptr<transport::TServerSocket> make_listener(const ServerSettings& settings,
                                                        Peers& peers) {
  const bool wants_token = !settings.token.empty();
  if (settings.tls_cert.empty() != settings.tls_key.empty())
    fail(Code::invalid_argument, "TLS needs both a certificate and a key");
  if (settings.tls_cert.empty())
    return std::make_shared<Listener<transport::TServerSocket>>(peers, wants_token, settings.host,
                                                                settings.port);
  try {
    const auto factory = std::make_shared<transport::TSSLSocketFactory>(transport::TLSv1_2);
    factory->server(true);
    factory->loadCertificate(settings.tls_cert.c_str());
    factory->loadPrivateKey(settings.tls_key.c_str());
    return std::make_shared<Listener<transport::TSSLServerSocket>>(
        peers, wants_token, settings.host, settings.port, factory);
  } catch (const TException& error) {
    fail(Code::invalid_argument, "TLS with the certificate {} and the key {}: {}",
         settings.tls_cert, settings.tls_key, error.what());
  }
}

}  // namespace lambdaml::ps
