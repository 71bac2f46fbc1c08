#pragma once

#include "lambdaml/data/dataset.h"

namespace lambdaml::data::csv {

/// The text of a data set, with a header. Values have the fewest digits that restore the same
/// float.
Buffer write(const Dataset& dataset);

}  // namespace lambdaml::data::csv
