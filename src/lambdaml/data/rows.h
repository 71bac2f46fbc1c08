#pragma once

#include <vector>

#include "lambdaml/data/dataset.h"

namespace lambdaml::data {

/// Reverses the cut of take_part(): takes one row of each part in turn, skipping parts that have
/// run out. As wide as the widest part; sparse if one part is; labelled if all parts are.
Dataset interleave(std::vector<Dataset> parts);

/// The rows of the first part, then those of the second and so on, dense. All must be labelled and
/// have the same number of features.
Dataset concatenate(const std::vector<Dataset>& parts);

}  // namespace lambdaml::data
