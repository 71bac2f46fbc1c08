#include "lambdaml/faas/registry.h"

#include "lambdaml/base/option_sets.h"

namespace lambdaml::faas {

const Registry& registry() {
  static const Registry all = filled_registry<Registry>("platform", register_plugins);
  return all;
}

Options own_options(const Plugin& platform, const Options& job) {
  return with_values_of(platform.options, job);
}

bool reaches(const Plugin& platform, Reach reach) {
  const bool runs_here = platform.runs_here ? platform.runs_here() : !platform.remote;
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

}  // namespace lambdaml::faas
