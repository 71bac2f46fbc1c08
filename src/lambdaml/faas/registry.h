#pragma once

#include <functional>
#include <memory>
#include <string>

#include "lambdaml/base/registry.h"
#include "lambdaml/faas/emulator.h"
#include "lambdaml/faas/invoker.h"

namespace lambdaml::faas {

struct Plugin {
  std::string name;  ///< the value of --platform
  std::string help;
  /// Events run in processes of their own, so the channel must reach across processes.
  bool separate_processes = true;
  /// Events run on other machines, in a deployed function: Function::name and outcome are needed,
  /// executable and log_folder mean nothing.
  bool remote = false;
  std::function<std::unique_ptr<Invoker>()> make;
  /// Where the platform can be a Lambda service for other programs: starts it; else empty.
  std::function<std::unique_ptr<Emulator>(const EmulatorSettings&)> emulate = {};
};

using Registry = RegistryOf<Plugin>;

const Registry& registry();
/// Generated from the lambdaml_add_plugin() lines.
void register_plugins(Registry& registry);

}  // namespace lambdaml::faas
