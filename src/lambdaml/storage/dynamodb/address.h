#pragma once

#include <string>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/base/uri.h"

namespace lambdaml::storage::dynamodb {

/// Where a table is.
struct Address {
  std::string table;
  std::string region;    ///< empty: from the environment
  std::string endpoint;  ///< empty: from the environment
  bool create = false;   ///< create the table if it does not exist
};

/// region, endpoint, create.
std::vector<Option> address_options();

/// Parses dynamodb://table[/prefix][?region=…][&endpoint=…][&create=true]; the caller handles the
/// prefix. `options` are address_options() with the URI's values. Throws invalid_argument.
Address address_of(const Uri& uri, const Options& options);

}  // namespace lambdaml::storage::dynamodb
