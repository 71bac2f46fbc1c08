#pragma once

#include <memory>
#include <string>

#include <thrift/TProcessor.h>

#include "lambdaml/base/service/token.h"
#include "lambdaml/ps/server/state.h"

namespace lambdaml::ps {

/// The size limit of a client's messages before it is admitted: enough for the name of a call and a
/// token.
inline constexpr std::uint64_t kGreetingBytes = 32 << 10;
inline constexpr std::size_t kLongestToken = 8 << 10;

/// What all connections share.
struct Service {
  State& state;
  Token token;
  std::int64_t incarnation = 0;
  bool durable = false;
  std::uint32_t largest = 1 << 30;  ///< bytes of a vector or value
};

/// Serves parameter_server.thrift; makes one processor per connection.
std::shared_ptr<::apache::thrift::TProcessorFactory> processors_of(Service& service);

/// The service's answers to a client that sends these bytes over one connection, up to their end or
/// to where the service would end the connection. Without a socket, so without limits on time or
/// number: for tests and fuzzing. No input makes it throw.
std::string answers_to(Service& service, std::string bytes);

}  // namespace lambdaml::ps
