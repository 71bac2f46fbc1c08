#include "lambdaml/faas/registry.h"

#include <algorithm>

#include "lambdaml/base/option_sets.h"

namespace lambdaml::faas {

const Registry& registry() {
  static const Registry all = filled_registry<Registry>("platform", register_plugins);
  return all;
}

Options own_options(const Plugin& platform, const Options& job) {
  return with_values_of(platform.options, job);
}

MemoryRange memory_of_platforms() {
  std::optional<MemoryRange> all;
  for (const Plugin& plugin : registry().entries()) {
    if (!plugin.memory) continue;
    if (!all) all = plugin.memory;
    all->least = std::min(all->least, plugin.memory->least);
    all->most = std::max(all->most, plugin.memory->most);
  }
  return all.value_or(MemoryRange());
}

bool reaches(const Plugin& platform, const Options& own, Reach reach) {
  const bool runs_here = platform.runs_here ? platform.runs_here(own) : !platform.remote;
  switch (reach) {
    case Reach::process:
      return runs_here && !platform.separate_processes;
    case Reach::machine:
      return runs_here;
    case Reach::anywhere:
      break;
  }
  return true;
}

bool reaches(const Plugin& platform, Reach reach) {
  return reaches(platform, Options(platform.options), reach);
}

const Plugin* platform_of_this_process() {
  for (const Plugin& plugin : registry().entries())
    if (plugin.has_started_this && plugin.has_started_this()) return &plugin;
  return nullptr;
}

}  // namespace lambdaml::faas
