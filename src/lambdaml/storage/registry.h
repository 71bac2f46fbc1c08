#pragma once

#include <functional>
#include <memory>
#include <string>

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
  std::function<std::shared_ptr<Storage>(const Uri&, std::shared_ptr<Patience>)> open;
  /// From where others see what is saved there.
  Reach reach = Reach::anywhere;
  /// The place that the bare name means.
  std::function<Uri()> default_uri;
  /// What require_own_place() does; none where the service itself knows its users.
  std::function<void(const Uri&)> require_own = nullptr;
};

using Registry = RegistryOf<Plugin>;

const Registry& registry();
/// From where the store of a URI can be reached; opens nothing. Throws invalid_argument for an
/// unknown scheme.
Reach reach_of(const Uri& uri);
/// Generated from the lambdaml_add_plugin() lines.
void register_plugins(Registry& registry);

}  // namespace lambdaml::storage
