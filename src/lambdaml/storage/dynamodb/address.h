#pragma once

#include <string>

#include "lambdaml/base/uri.h"

namespace lambdaml::storage::dynamodb {

/// Where a table is.
struct Address {
  std::string table;
  std::string region;    ///< empty: as the environment says
  std::string endpoint;  ///< empty: as the environment says
  bool create = false;   ///< the table, when it is not there
};

/// dynamodb://table[/prefix][?region=…][&endpoint=…][&create=true]; the prefix is left to the
/// caller. Throws invalid_argument.
Address address_of(const Uri& uri);

}  // namespace lambdaml::storage::dynamodb
