#include "lambdaml/comm/registry.h"

#include "lambdaml/base/error.h"
#include "lambdaml/comm/summed.h"

namespace lambdaml::comm {

const Registry& registry() {
  static const Registry all = [] {
    Registry filling("sync mode");
    register_plugins(filling);
    return filling;
  }();
  return all;
}

std::unique_ptr<Communicator> make_communicator(std::string_view pattern, Membership membership) {
  const Plugin& plugin = registry().get(pattern);
  if (membership.store && membership.store->capabilities().sums) {
    if (membership.compression != Compression::none)
      fail(Code::invalid_argument, "compress: a channel that adds up (ps://) takes plain numbers");
    if (membership.aggregators)
      fail(Code::invalid_argument, "aggregators: a channel that adds up (ps://) is the only one");
    return std::make_unique<Summed>(std::move(membership), plugin.bulk_synchronous);
  }
  if (membership.staleness)
    fail(Code::invalid_argument, "a bound on staleness needs a channel that adds up: ps://");
  return plugin.make(std::move(membership));
}

}  // namespace lambdaml::comm
