#include "lambdaml/comm/registry.h"

#include "lambdaml/base/error.h"

namespace lambdaml::comm {

const Registry& registry() {
  static const Registry all = filled_registry<Registry>("sync mode", register_plugins);
  return all;
}

std::unique_ptr<Communicator> make_communicator(std::string_view pattern, Membership membership) {
  const Plugin& plugin = registry().get(pattern);
  if (membership.store && membership.store->aggregator() != nullptr && registry().aggregated()) {
    if (membership.compression != Compression::none)
      fail(Code::invalid_argument,
           "compress: the channel {} adds up itself and takes plain numbers",
           membership.store->describe());
    if (membership.aggregators)
      fail(Code::invalid_argument,
           "aggregators: the channel {} adds up itself, and is the only one",
           membership.store->describe());
    return registry().aggregated()(std::move(membership), plugin.bulk_synchronous);
  }
  if (membership.staleness)
    fail(Code::invalid_argument,
         "a bound on staleness needs a channel that adds up itself, as a parameter server does");
  return plugin.make(std::move(membership));
}

}  // namespace lambdaml::comm
