#pragma once

#include <string>
#include <vector>

#include "lambdaml/data/csv/layout.h"
#include "lambdaml/data/csv/sample.h"
#include "lambdaml/data/dataset.h"

namespace lambdaml::data::csv {

/// Sets the columns of a layout whose other members are set: their names, which one has the labels,
/// which one the weights, and the kinds of the others. Throws data_corrupt or invalid_argument,
/// naming the file.
void find_columns(const std::vector<Record>& records, const ReadOptions& options, Layout& layout);

/// The columns that a model's names are about, in order: `age`, `colour` (of `colour=red`).
std::vector<std::string> columns_named(const Names& names);

}  // namespace lambdaml::data::csv
