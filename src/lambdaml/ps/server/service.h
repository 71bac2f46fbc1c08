#pragma once

#include <memory>
#include <string>

#include <thrift/TProcessor.h>

#include "lambdaml/ps/server/state.h"

namespace lambdaml::ps {

/// What connections share.
struct Service {
  State& state;
  std::string token;  ///< empty: none is asked for
  std::int64_t incarnation = 0;
  bool durable = false;
  std::uint32_t largest = 1 << 30;  ///< bytes of a vector or value
};

/// Serves parameter_server.thrift; one processor for each connection.
std::shared_ptr<::apache::thrift::TProcessorFactory> processors_of(Service& service);

}  // namespace lambdaml::ps
