#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "lambdaml/base/registry.h"
#include "lambdaml/comm/communicator.h"

namespace lambdaml::comm {

/// What the memory for merging depends on.
struct MergeSizes {
  std::uint32_t workers = 1;
  std::size_t values = 0;  ///< floats of the vector
  std::optional<std::uint32_t> aggregators = {};
  bool is_packed = false;  ///< messages are compressed
};

struct Plugin {
  std::string name;  ///< the value of --sync-mode
  std::string help;
  bool bulk_synchronous = true;  ///< every merge waits for all workers
  std::function<std::unique_ptr<Communicator>(Membership)> make;
  /// Bytes that the busiest worker needs for a merge, besides the vector itself: an upper bound
  /// within a factor of about two.
  std::function<std::uint64_t(const MergeSizes&)> bytes_needed;
};

using Registry = RegistryOf<Plugin>;

const Registry& registry();
/// The communicator of a sync mode: the plug-in's own, or, on a store that adds up itself, the one
/// that lets it, waiting or not as the plug-in says.
std::unique_ptr<Communicator> make_communicator(std::string_view pattern, Membership membership);
/// Generated from the lambdaml_add_plugin() lines.
void register_plugins(Registry& registry);

}  // namespace lambdaml::comm
