#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/base/batch_limits.h"
#include "lambdaml/base/options.h"
#include "lambdaml/base/reach.h"
#include "lambdaml/base/registry.h"
#include "lambdaml/base/service/patience.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::storage {

/// What a store plug-in registers.
struct Plugin {
  std::string name;  ///< the URI scheme
  std::string help;
  /// Opens the store at the URI, including its path. A store that talks to a service must wait no
  /// longer than the patience (never null) allows, report answers and failures to it, and end its
  /// waits at an interrupt. The options are those declared below, with the URI's values.
  std::function<std::shared_ptr<Storage>(const Uri&, const Options&, std::shared_ptr<Patience>)>
      open;
  /// From where other processes see what is saved there.
  Reach reach = Reach::anywhere;
  /// The same for one URI, where the name of the store does not decide it. Null: `reach`.
  std::function<Reach(const Uri&)> reach_at = nullptr;
  /// The URI that the bare plug-in name stands for.
  std::function<Uri()> default_uri;
  /// Implements local_file(); null if values are not files of this machine.
  std::function<std::filesystem::path(const Uri&)> local_file = nullptr;
  /// Implements require_own_place(); null if the service authenticates its users itself.
  std::function<void(const Uri&)> require_own = nullptr;
  /// The store's own settings, written as the URI's query (`scheme://…?name=value&name=value`)
  /// because only the URI is passed to the workers that open the store. If empty, open() interprets
  /// the query.
  std::vector<Option> options = {};
  /// What one request of a batch of saves, loads (the values of its answer) or removals takes,
  /// where the service has such requests; by default one key. For predictions.
  BatchLimits save_batch = {}, load_batch = {}, removal_batch = {};
  /// How it moves large values; by default in one request. For predictions.
  PartLimits parts = {};
};

using Registry = RegistryOf<Plugin>;

const Registry& registry();
/// The values of these options in the URI's query. Throws invalid_argument, naming the URI, for an
/// unknown name (with the nearest known ones) or a bad value.
Options options_in(const Uri& uri, std::vector<Option> declared);
/// Opens the plug-in's store with the URI's options. Throws what options_in() and the plug-in's
/// open() throw.
std::shared_ptr<Storage> open_with(const Plugin& plugin, const Uri& uri,
                                   std::shared_ptr<Patience> patience);
/// From where the store of a URI can be reached: a folder of a network file system from other
/// machines too. Opens nothing. Throws invalid_argument for an unknown scheme.
Reach reach_of(const Uri& uri);
/// The path of what the URI names, if its store keeps each value in a file of this machine.
std::optional<std::filesystem::path> local_file(const Uri& uri);
/// Generated from the lambdaml_add_plugin() lines.
void register_plugins(Registry& registry);

}  // namespace lambdaml::storage
