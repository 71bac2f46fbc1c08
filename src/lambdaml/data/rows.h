#pragma once

#include <vector>

#include "lambdaml/data/dataset.h"

namespace lambdaml::data {

/// The same rows with their labels as targets.
Dataset with_labels_as_targets(const Dataset& dataset);

/// Both join parts to one data set: as wide as the widest part; sparse if one part is; labelled if
/// all parts are, with targets if one part has them; named as the first part is.

/// Reverses the cut of take_part(): takes one row of each part in turn, skipping parts that have
/// run out.
Dataset interleave(std::vector<Dataset> parts);

/// The rows of the first part, then those of the second and so on.
Dataset concatenate(std::vector<Dataset> parts);

}  // namespace lambdaml::data
