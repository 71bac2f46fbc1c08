#include "lambdaml/comm/registry.h"

#include <algorithm>

#include "lambdaml/base/error.h"
#include "lambdaml/base/option_sets.h"
#include "lambdaml/base/text.h"

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
  const auto has = [](const Plugin& plugin, const Option& option) {
    return std::ranges::find(plugin.options, option.name, &Option::name) != plugin.options.end();
  };
  const Plugin& plugin = registry().get(pattern);
  for (const Option& option : demand.options.declared()) {
    if (has(plugin, option) || !is_changed(demand.options, option.name)) continue;
    std::vector<std::string> owners;
    for (const Plugin& other : registry().entries())
      if (has(other, option)) owners.push_back(other.name);
    fail(Code::invalid_argument, "{}: the sync mode {} has no such option; use {}", option.name,
         plugin.name, join(owners, " or "));
  }
  if (demand.needs_all_workers && !plugin.bulk_synchronous) {
    std::vector<std::string> waiting;
    for (const Plugin& other : registry().entries())
      if (other.bulk_synchronous) waiting.push_back(other.name);
    fail(Code::invalid_argument,
         "the sync mode {} does not wait for all workers, which the optimizer {} needs; use {}",
         plugin.name, demand.optimizer, join(waiting, " or "));
  }
  if (plugin.check) plugin.check(demand);
}

std::unique_ptr<Communicator> make_communicator(std::string_view pattern, Membership membership) {
  const Plugin& plugin = registry().get(pattern);
  if (membership.store && membership.store->aggregator() != nullptr && registry().aggregated())
    return registry().aggregated()(std::move(membership), plugin.bulk_synchronous);
  return plugin.make(std::move(membership));
}

}  // namespace lambdaml::comm
