#pragma once

#include "lambdaml/data/dataset.h"

namespace lambdaml::data::libsvm {

/// The text of a data set. Values have the fewest digits that restore the same float; a dense row
/// includes its zeros, so that the number of features is preserved.
Buffer write(const Dataset& dataset);

}  // namespace lambdaml::data::libsvm
