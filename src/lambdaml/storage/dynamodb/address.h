#pragma once

#include <string>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/base/uri.h"

namespace lambdaml::storage::dynamodb {

/// Where a table is.
struct Address {
  std::string table;
  std::string region;    ///< empty: as the environment says
  std::string endpoint;  ///< empty: as the environment says
  bool create = false;   ///< the table, when it is not there
};

/// region, endpoint, create.
std::vector<Option> address_options();

/// dynamodb://table[/prefix][?region=…][&endpoint=…][&create=true]; the prefix is left to the
/// caller. `options`: address_options() as the URI has them. Throws invalid_argument.
Address address_of(const Uri& uri, const Options& options);

}  // namespace lambdaml::storage::dynamodb
