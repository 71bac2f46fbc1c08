#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "lambdaml/data/dataset.h"

namespace lambdaml::data {

/// The same rows with their labels as targets.
Dataset with_labels_as_targets(const Dataset& dataset);

/// The rows with the labels or targets that another file has: its labels, if it has no features, or
/// else its only column, whose whole numbers are labels. Throws invalid_argument, naming the files,
/// unless there is one for each row.
Dataset with_labels_of(const Dataset& rows, const Dataset& labels, const std::string& what_rows,
                       const std::string& what_labels);
/// The rows with one of their columns as labels or targets, which is no feature then. `column`: an
/// index from 0 or, if negative, from the end. Throws invalid_argument, naming `what`.
Dataset with_label_column(const Dataset& rows, std::int64_t column, const std::string& what);

/// The same by the option `label`, for formats whose columns have no names; no label by default.
Dataset with_label_column(const Dataset& rows, const ReadOptions& options);

/// Throws invalid_argument if some parts have weights and others with rows have none; `what_of`
/// names a part.
void require_weights_in_all(const std::vector<Dataset>& parts,
                            const std::function<std::string(std::size_t)>& what_of);

/// Both join parts to one data set: as wide as the widest part; sparse if one part is; labelled if
/// all parts are, with targets if one part has them; with weights if one part has them; named as
/// the first part is.

/// Reverses the cut of take_part(): takes one row of each part in turn, skipping parts that have
/// run out.
Dataset interleave(std::vector<Dataset> parts);

/// The rows of the first part, then those of the second and so on.
Dataset concatenate(std::vector<Dataset> parts);

}  // namespace lambdaml::data
