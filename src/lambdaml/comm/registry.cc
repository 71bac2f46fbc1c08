#include "lambdaml/comm/registry.h"

#include "lambdaml/base/option_sets.h"

namespace lambdaml::comm {
namespace {

/// Null if the sync modes themselves run over that store.
const Aggregated* aggregated_for(storage::Storage& store) {
  const std::optional<Aggregated>& aggregated = registry().aggregated();
  return aggregated && store.aggregator() != nullptr ? &*aggregated : nullptr;
}

}  // namespace

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
  if (membership.store)
    if (const Aggregated* aggregated = aggregated_for(*membership.store))
      return aggregated->make(std::move(membership), plugin.bulk_synchronous);
  return plugin.make(std::move(membership));
}

std::uint64_t bytes_needed(std::string_view pattern, const MergeSizes& sizes,
                           storage::Storage& store) {
  const Plugin& plugin = registry().get(pattern);
  const Aggregated* aggregated = aggregated_for(store);
  if (aggregated != nullptr) return aggregated->bytes_needed(sizes, plugin.bulk_synchronous);
  MergeSizes known = sizes;
  known.writes_per_s = store.capabilities().writes_per_s;
  return plugin.bytes_needed(known);
}

}  // namespace lambdaml::comm
