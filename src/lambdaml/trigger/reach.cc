#include "lambdaml/trigger/reach.h"

#include <algorithm>
#include <optional>

#include "lambdaml/base/error.h"
#include "lambdaml/base/option_sets.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/job/job.h"
#include "lambdaml/storage/registry.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::trigger {
bool is_within_reach(const Options& options, const std::string& uri) {
  if (!job::is_remote(options)) return true;
  const faas::Plugin& platform = faas::registry().get(options.text("platform"));
  return faas::reaches(platform, faas::own_options(platform, options),
                       storage::reach_of(Uri::parse(uri)));
}

bool outlives_function(const Uri& place) {
  const Reach reach = storage::reach_of(place);
  if (reach != Reach::machine) return reach == Reach::anywhere;
  // A machine outlives its functions only if they are processes on it.
  const std::optional<faas::OwnFunction> own = faas::own_function();
  return !own || faas::reaches(faas::registry().get(own->platform), reach);
}

void use_own_platform(Options& options) {
  if (!options.is_set("platform")) {
    const std::optional<faas::OwnFunction> own = faas::own_function();
    const auto& all = faas::registry().entries();
    const auto remote = std::ranges::find_if(all, &faas::Plugin::remote);
    if (!own && remote == all.end())
      fail(Code::invalid_argument, "this build has no platform with deployed functions");
    const std::string& name = own ? own->platform : remote->name;
    options.set("platform", Option::Value(name), "platform");
  }
  const faas::Plugin& platform = faas::registry().get(options.text("platform"));
  for (const auto& [name, value] : platform.options_within)
    if (!is_changed(options, name)) options.parse(name, value, name);
}

void require_within_reach(const Options& options, const char* name, const std::string& place) {
  if (!is_within_reach(options, place))
    fail(Code::invalid_argument,
         "{} {}: functions on other machines cannot reach it; give the URI of a storage service "
         "with --{}",
         name, Uri::parse(place).display(), name);
}

void require_platform(const Options& options) {
  const faas::Plugin& platform = faas::registry().get(options.text("platform"));
  if (platform.check) platform.check(faas::own_options(platform, options));
  if (platform.remote && options.is_set("timeout_s") &&
      options.real("timeout_s") > platform.longest_s)
    fail(Code::invalid_argument, "timeout_s {}: functions of the platform {} run {} s at most",
         options.real("timeout_s"), platform.name, platform.longest_s);
}

void require_reach(Options& options) {
  require_platform(options);
  const faas::Plugin& platform = faas::registry().get(options.text("platform"));
  if (!platform.remote) {
    const std::string& checkpoint = options.text("checkpoint");
    if (!checkpoint.empty() && storage::reach_of(Uri::parse(checkpoint)) == Reach::process)
      fail(Code::invalid_argument,
           "checkpoint {}: it ends with the process, and checkpoints must not be lost; give a "
           "folder or the URI of a storage service",
           Uri::parse(checkpoint).display());
    return;
  }
  const auto require = [&](const char* name) {
    require_within_reach(options, name, options.text(name));
  };
  require("channel");
  if (options.text("checkpoint").empty()) {
    const Uri channel = Uri::parse(options.text("channel"));
    if (!storage::open_plain(channel)->capabilities().durable)
      fail(
          Code::invalid_argument,
          "channel {}: it can lose what it holds, and checkpoints must not be lost; say where they "
          "go with --checkpoint, by the URI of a store that keeps it",
          channel.display());
    options.set("checkpoint", Option::Value((channel / "checkpoints").text()), "checkpoint");
  }
  require("checkpoint");
}

}  // namespace lambdaml::trigger
