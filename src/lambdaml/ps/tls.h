#pragma once

#include <memory>

#include <thrift/transport/TTransport.h>

#include "lambdaml/ps/address.h"

namespace lambdaml::ps {

/// A client's end of TLS, 1.2 or newer, over a connected socket, whose time-outs apply; completes
/// the handshake. The peer's certificate must be issued by one that `address` trusts and name its
/// host. libssl is loaded on the first call, so workers whose server does not use TLS start without
/// it.
///
/// Throws invalid_argument (no certificates in the given file), permission_denied (the peer's
/// certificate does not match, or it does not use TLS), unavailable (no libssl on this machine),
/// and what the socket throws. For .cc files of this layer.
std::shared_ptr<::apache::thrift::transport::TTransport> secure(
    std::shared_ptr<::apache::thrift::transport::TTransport> socket, const Address& address);

}  // namespace lambdaml::ps
