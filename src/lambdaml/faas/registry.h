#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
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

/// The memory of one function, in MB.
struct MemoryRange {
  std::int64_t least = 1;
  std::int64_t usual = 1024;  ///< unless the job names another
  std::int64_t most = 1 << 20;
};

/// What a platform's service says of a deployed function.
struct DeployedFunction {
  std::optional<int> memory_mb = {};  ///< nullopt: it does not tell
  std::string architecture = {};      ///< "x86_64" or "arm64"; empty: it does not tell
};

/// Its functions may be called by several threads at once: a search runs each job on a thread of
/// its own.
struct Plugin {
  std::string name;  ///< the value of --platform
  std::string help;
  std::vector<Option> options = {};  ///< settings of its own
  /// Events run in separate processes, so the channel must work across processes.
  bool separate_processes = true;
  /// Events run in functions of other machines: query_status is required, executable and log_folder
  /// count only where the platform shares a folder with them, and what a function leaves in storage
  /// tells how its event ended.
  bool remote = false;
  /// All events of one invoke_all() run at the same time, or it fails. False: they are queued, and
  /// jobs whose workers wait for each other cannot run there.
  bool starts_all_at_once = true;
  /// The longest time limit of a function.
  double longest_s = std::numeric_limits<double>::infinity();
  /// What a job may give its functions; nullopt: they have no memory of their own.
  std::optional<MemoryRange> memory = {};
  /// The row of the price table by which a function's time is billed. A free platform names the row
  /// of one where the same function can be deployed. Empty: time has no price.
  std::string billed_as = {};
  /// The processors of a function with that much memory; empty: all functions share this machine's.
  std::function<double(double memory_mb)> processors = {};
  /// The function that a job with these own options runs in, where it is configured by itself and
  /// not by the job; a member is empty if the caller may not ask for it. At most one request.
  /// Throws what the platform's service reports. Empty: the job configures it.
  std::function<DeployedFunction(const Options& options)> deployed_function = {};
  /// Whether functions run on this machine, or on others that see its files. Empty: they do unless
  /// `remote`.
  std::function<bool(const Options& options)> runs_here = {};
  /// Implements faas::own_function(); empty: functions cannot be deployed there.
  std::function<std::optional<OwnFunction>()> own_function = {};
  /// The region of this process as the platform's tools have it, which decides about prices; empty
  /// if it is not set, or if the platform has no regions.
  std::function<std::string()> own_region = {};
  /// Throws invalid_argument for values of its options that no job can have there; empty: all are
  /// possible.
  std::function<void(const Options&)> check = {};
  /// Checks that events can be started, without starting any, and returns in one line what there is
  /// to know: the function and its limits. Throws what a job would fail with. Empty: nothing can be
  /// missing.
  std::function<std::string(const Options& options)> examine = {};
  /// Values of its options, by name, for a job that one of its functions starts and that gives
  /// none.
  std::map<std::string, std::string> options_within = {};
  /// Whether a host of this platform has started this process, by its environment; then serve()
  /// takes the events of such a process, until the host ends it, and returns its exit code. Both
  /// are empty if functions are only started through the Runtime API.
  std::function<bool()> has_started_this = {};
  std::function<int(const Handler& handler)> serve = {};
  /// `options` are its own, with the job's values.
  std::function<std::unique_ptr<Invoker>(const Options& options)> make;
  /// Starts the platform's service for other programs; empty if it has none.
  std::function<std::unique_ptr<Emulator>(const EmulatorSettings&)> emulate = {};
};

/// The platform's own options with the values that `job` has of them.
Options own_options(const Plugin& platform, const Options& job);

/// What some platform allows a function, and the usual memory of the first that has one.
MemoryRange memory_of_platforms();

/// Whether functions of the platform, with its `own` options, can reach a place with that reach.
bool reaches(const Plugin& platform, const Options& own, Reach reach);
/// The same for options as they are by default.
bool reaches(const Plugin& platform, Reach reach);

/// The platform whose host has started this process, or null; see Plugin::has_started_this.
const Plugin* platform_of_this_process();

using Registry = RegistryOf<Plugin>;

/// Filled by the first call and only read afterwards, by any thread.
const Registry& registry();
/// Generated from the lambdaml_add_plugin() lines.
void register_plugins(Registry& registry);

}  // namespace lambdaml::faas
