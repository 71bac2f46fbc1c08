#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/base/options.h"
#include "lambdaml/report/source.h"

namespace lambdaml::report {

/// The trained model as the page shows it: its classes, its largest coefficients and, of the rows
/// in `data` (empty: none), a confusion matrix, ROC curves and measures. What cannot be had is
/// named in `notes`, but for rows that were asked for (`is_asked`): throws if they cannot be read
/// or do not fit the model. null if there is no model yet.
nlohmann::ordered_json model_json(const Source& source, const std::string& data, bool is_asked,
                                  const Options* options, nlohmann::ordered_json& notes);

}  // namespace lambdaml::report
