#pragma once

#include <limits>
#include <string>

#include "lambdaml/base/options.h"
#include "lambdaml/data/dataset.h"

/// Missing values of sets of several files: whether a column has values at all, and their mean, is
/// known when the last file has been read. Until then missing values and the fills of their columns
/// (Names::fills) are NaN.
namespace lambdaml::data {

constexpr float kUnknownFill = std::numeric_limits<float>::quiet_NaN();

/// The rows with means in place of missing values, or zeros if the format's option `missing` says
/// so, and with these as fills; the same rows if there is no unknown fill. Copies the values.
/// Throws data_corrupt, naming `what`, for a column without any value.
Dataset filled(const Dataset& dataset, const Options& format_options, const std::string& what);

}  // namespace lambdaml::data
