#pragma once

#include <vector>

#include "lambdaml/data/dataset.h"

namespace lambdaml::data {

/// Undoes the cut of take_part(): one row of each part in turn, parts that have run out are passed
/// over. As wide as the widest part; sparse when one part is; labelled when all parts are.
Dataset interleave(std::vector<Dataset> parts);

/// The rows of the first, then those of the second and so on, dense. All are labelled and of the
/// same number of features.
Dataset concatenate(const std::vector<Dataset>& parts);

}  // namespace lambdaml::data
