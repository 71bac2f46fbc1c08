#pragma once

#include <memory>

#include <thrift/transport/TTransport.h>

#include "lambdaml/ps/address.h"

namespace lambdaml::ps {

/// A client's end of TLS, 1.2 or newer, over a connected socket, whose time-outs hold; the
/// handshake is done. The peer's certificate must lead to one that `address` trusts and name its
/// host. libssl is loaded at the first call: workers whose server speaks no TLS start without it.
///
/// Throws invalid_argument (no certificates in the file that should have some), permission_denied
/// (the peer is not who it should be, or speaks no TLS), unavailable (no libssl on this machine),
/// and what the socket throws. For .cc files of this layer.
std::shared_ptr<::apache::thrift::transport::TTransport> secure(
    std::shared_ptr<::apache::thrift::transport::TTransport> socket, const Address& address);

}  // namespace lambdaml::ps
