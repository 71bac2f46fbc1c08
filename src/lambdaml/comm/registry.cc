#include "lambdaml/comm/registry.h"

#include "lambdaml/base/option_sets.h"

namespace lambdaml::comm {

const Registry& registry() {
  static const Registry all = filled_registry<Registry>("sync mode", register_plugins);
  return all;
}

Options pattern_options() {
  std::vector<Option> all;
  for (const Plugin& plugin : registry().entries()) add_options(all, plugin.options);
  return Options(std::move(all));
}

Options pattern_options(const Options& job) {
  const Options all = pattern_options();
  return with_values_of(all.declared(), job);
}

void check_pattern(std::string_view pattern, const Demand& demand) {
  const Plugin& plugin = registry().get(pattern);
  if (plugin.check) plugin.check(demand);
}

std::unique_ptr<Communicator> make_communicator(std::string_view pattern, Membership membership) {
  const Plugin& plugin = registry().get(pattern);
  if (membership.store && membership.store->aggregator() != nullptr && registry().aggregated())
    return registry().aggregated()(std::move(membership), plugin.bulk_synchronous);
  return plugin.make(std::move(membership));
}

}  // namespace lambdaml::comm
