#pragma once

#include "lambdaml/tune/records.h"
#include "lambdaml/tune/search.h"

namespace lambdaml::tune {

/// Begins a search: checks it, cuts the data for its first trial, orders it to run for the chain
/// `search.id` unless anything was ordered before, and writes its record. Leaves an existing search
/// unchanged. Throws invalid_argument, not_found, data_corrupt (bad input), and what the store
/// throws.
void begin(Search& search, Records& records);

}  // namespace lambdaml::tune
