#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/base/reach.h"
#include "lambdaml/base/registry.h"
#include "lambdaml/base/service/patience.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::storage {

/// What a store's register_plugin() adds.
struct Plugin {
  std::string name;  ///< the URI scheme
  std::string help;
  /// Opens the store below the whole URI, its path included. A store that talks to a service waits
  /// for it no longer than the patience (never null) says, tells it of answers and failures, and
  /// ends its waits at an interrupt.
  /// The options are those that are declared below, with the values that the URI gives them.
  std::function<std::shared_ptr<Storage>(const Uri&, const Options&, std::shared_ptr<Patience>)>
      open;
  /// From where others see what is saved there.
  Reach reach = Reach::anywhere;
  /// The place that the bare name means.
  std::function<Uri()> default_uri;
  /// What require_own_place() does; none where the service itself knows its users.
  std::function<void(const Uri&)> require_own = nullptr;
  /// Settings of its own, written as the URI's query (`scheme://…?name=value&name=value`), because
  /// the URI is all that travels to those who open the store. Where it declares none, what a query
  /// means is left to open().
  std::vector<Option> options = {};
};

using Registry = RegistryOf<Plugin>;

const Registry& registry();
/// The values that the URI's query gives to these options. Throws invalid_argument, naming the URI,
/// for an unknown name (with the nearest known ones) and for a bad value.
Options options_in(const Uri& uri, std::vector<Option> declared);
/// Opens the plug-in's store, with the options that the URI has. Throws what options_in() and the
/// plug-in's open() throw.
std::shared_ptr<Storage> open_with(const Plugin& plugin, const Uri& uri,
                                   std::shared_ptr<Patience> patience);
/// From where the store of a URI can be reached; opens nothing. Throws invalid_argument for an
/// unknown scheme.
Reach reach_of(const Uri& uri);
/// Generated from the lambdaml_add_plugin() lines.
void register_plugins(Registry& registry);

}  // namespace lambdaml::storage
