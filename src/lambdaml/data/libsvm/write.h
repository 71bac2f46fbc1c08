#pragma once

#include "lambdaml/data/dataset.h"

namespace lambdaml::data::libsvm {

/// The text of a data set. Values take the fewest digits that give the same float again; a dense
/// row carries its zeros too, so that the number of features survives.
Buffer write(const Dataset& dataset);

}  // namespace lambdaml::data::libsvm
