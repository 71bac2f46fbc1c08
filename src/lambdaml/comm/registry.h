#pragma once

#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/base/registry.h"
#include "lambdaml/comm/communicator.h"

namespace lambdaml::comm {

/// What the memory for merging depends on.
struct MergeSizes {
  std::uint32_t workers = 1;
  std::size_t values = 0;  ///< floats of the vector
  std::size_t totals = 0;  ///< doubles beside them, unless they are few; no pattern cuts them
  Options options = pattern_options();
  double writes_per_s = std::numeric_limits<double>::infinity();  ///< storage::Capabilities

  std::uint64_t bytes() const { return values * sizeof(float) + totals * sizeof(double); }
};

/// What a job requires of its pattern; checked before anything is started.
struct Demand {
  Options options;             ///< pattern_options() of the job
  std::string_view optimizer;  ///< for messages
  bool merges_increments = true;
  bool needs_all_workers = false;  ///< in every merge
  /// Opens the store where workers meet, for checks that need its capabilities.
  std::function<std::shared_ptr<storage::Storage>()> open_channel;
};

/// Its functions may be called by several threads at once: workers may be threads of one process.
struct Plugin {
  std::string name;  ///< the value of --sync-mode
  std::string help;
  bool bulk_synchronous = true;  ///< every merge waits for all workers
  bool creates = false;          ///< it needs the store's create() to be atomic
  std::function<std::unique_ptr<Communicator>(Membership)> make;
  /// Bytes that the busiest worker needs for a merge besides the vector itself: an upper bound
  /// within a factor of about two.
  std::function<std::uint64_t(const MergeSizes&)> bytes_needed;
  /// How many workers merge a part of the vector each; empty: none does.
  std::function<std::uint32_t(const MergeSizes&)> aggregators = {};
  std::vector<Option> options = {};  ///< settings of its own, see optim::Plugin
  /// Throws invalid_argument for a job that the pattern cannot run; empty: the options decide.
  std::function<void(const Demand&)> check = {};
};

/// What replaces every sync mode on a store with a storage::Aggregator. Like the sync mode's
/// plug-in, it waits for all workers in every merge, or never.
struct Aggregated {
  std::function<std::unique_ptr<Communicator>(Membership, bool bulk_synchronous)> make;
  /// Like Plugin::bytes_needed.
  std::function<std::uint64_t(const MergeSizes&, bool bulk_synchronous)> bytes_needed;
};

/// The sync modes, and what replaces them on a store with an Aggregator. Filled by the first call
/// of registry() and only read afterwards, by any thread.
class Registry : public RegistryOf<Plugin> {
 public:
  using RegistryOf::RegistryOf;
  void set_aggregated(Aggregated aggregated) { aggregated_ = std::move(aggregated); }
  /// nullopt if no plug-in has set it.
  const std::optional<Aggregated>& aggregated() const { return aggregated_; }

 private:
  std::optional<Aggregated> aggregated_;
};

const Registry& registry();
/// pattern_options() with a job's values.
Options pattern_options(const Options& job);
/// Throws invalid_argument for an unknown pattern, and what its check() throws.
void check_pattern(std::string_view pattern, const Demand& demand);
/// The communicator of a sync mode: the plug-in's own or, on a store with an Aggregator, the one
/// that uses it. Throws invalid_argument for an unknown mode and for what the store cannot do.
std::unique_ptr<Communicator> make_communicator(std::string_view pattern, Membership membership);
/// Plugin::bytes_needed of the communicator that make_communicator() makes for that store.
std::uint64_t bytes_needed(std::string_view pattern, const MergeSizes& sizes,
                           storage::Storage& store);
/// Generated from the lambdaml_add_plugin() lines.
void register_plugins(Registry& registry);

}  // namespace lambdaml::comm
