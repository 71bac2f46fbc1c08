#pragma once

#include <memory>
#include <string>

#include <thrift/TProcessor.h>

#include "lambdaml/ps/server/state.h"
#include "lambdaml/ps/server/token.h"

namespace lambdaml::ps {

/// What a message may have before the server knows that it is more than a greeting: the name of a
/// call, a token, some bytes around them.
inline constexpr std::uint64_t kGreetingBytes = 32 << 10;
inline constexpr std::size_t kLongestToken = 8 << 10;

/// What connections share.
struct Service {
  State& state;
  Token token;
  std::int64_t incarnation = 0;
  bool durable = false;
  std::uint32_t largest = 1 << 30;  ///< bytes of a vector or value
};

/// Serves parameter_server.thrift; one processor for each connection.
std::shared_ptr<::apache::thrift::TProcessorFactory> processors_of(Service& service);

/// What the service answers to a client that sends these bytes over one connection, until their end
/// or until it would end the connection. Without a socket, so without limits in time or number: for
/// tests and fuzzing. Throws nothing that a client can cause.
std::string answers_to(Service& service, std::string bytes);

}  // namespace lambdaml::ps
