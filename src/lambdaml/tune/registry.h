#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/base/registry.h"
#include "lambdaml/tune/strategy.h"

namespace lambdaml::tune {

struct Plugin {
  std::string name;  ///< the value of --strategy
  std::string help;
  std::vector<Option> options = {};  ///< settings of its own
  /// Throws invalid_argument if it cannot search that space.
  std::function<std::unique_ptr<Strategy>(const StrategyInputs&)> make;
};

using Registry = RegistryOf<Plugin>;

const Registry& registry();
/// Generated from the lambdaml_add_plugin() lines.
void register_plugins(Registry& registry);

}  // namespace lambdaml::tune
