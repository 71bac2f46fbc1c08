#pragma once

#include <limits>
#include <string>

#include "lambdaml/data/dataset.h"

/// Missing values of sets of several files: they are filled by the means of all files, which are
/// known when the last one has been read. Until then such values and the fills of their columns
/// (Names::fills) are NaN.
namespace lambdaml::data {

constexpr float kUnknownFill = std::numeric_limits<float>::quiet_NaN();

/// The rows with means in place of missing values, and with these as fills; the same rows if there
/// is no unknown fill. Copies the values. Throws data_corrupt, naming `what`, for a column without
/// any value.
Dataset filled_by_means(const Dataset& dataset, const std::string& what);

}  // namespace lambdaml::data
