#pragma once

#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/base/reach.h"
#include "lambdaml/base/registry.h"
#include "lambdaml/faas/emulator.h"
#include "lambdaml/faas/host.h"
#include "lambdaml/faas/invoker.h"

namespace lambdaml::faas {

struct Plugin {
  std::string name;  ///< the value of --platform
  std::string help;
  std::vector<Option> options = {};  ///< settings of its own
  /// Events run in processes of their own, so the channel must reach across processes.
  bool separate_processes = true;
  /// Events run in a deployed function: Function::name and outcomes are needed, executable and
  /// log_folder mean nothing, and nothing but what the function leaves in storage says how an event
  /// ended.
  bool remote = false;
  /// All events of one invoke_all() run at the same time, or it fails; false: they are queued, and
  /// jobs whose workers wait for each other cannot run there.
  bool starts_all_at_once = true;
  /// Nobody's function runs longer.
  double longest_s = std::numeric_limits<double>::infinity();
  /// The row of the price table that a function's time is billed by. Platforms that cost nothing
  /// name that of one where the same function can be deployed. Empty: the time has no price.
  std::string billed_as = {};
  /// The processors of a function with that much memory; absent: those of this machine, which all
  /// functions share.
  std::function<double(double memory_mb)> processors = {};
  /// Whether functions run on this machine, and see its files. Absent: as `remote` says.
  std::function<bool()> runs_here = {};
  /// What faas::own_function() asks; absent: nothing is deployed there.
  std::function<std::optional<OwnFunction>()> own_function = {};
  std::function<std::unique_ptr<Invoker>()> make;
  /// Where the platform can be a Lambda service for other programs: starts it; else empty.
  std::function<std::unique_ptr<Emulator>(const EmulatorSettings&)> emulate = {};
};

/// Whether functions of the platform can reach a place that those on `reach` can.
bool reaches(const Plugin& platform, Reach reach);

using Registry = RegistryOf<Plugin>;

const Registry& registry();
/// Generated from the lambdaml_add_plugin() lines.
void register_plugins(Registry& registry);

}  // namespace lambdaml::faas
