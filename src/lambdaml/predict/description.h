#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/job/model_file.h"

/// A trained model as people see it.
namespace lambdaml::predict {

/// One JSON object: `model`, `classes` (the labels), `features` (in order), `coefficients` and
/// `intercept` (one list and one number per class; null for models without), `options` of the job
/// that trained it, and its `metrics`, from the summary in `folder` (null: none are known).
nlohmann::ordered_json describe(const job::TrainedModel& model, storage::Storage* folder);

/// The same for people: options that are not the default, metrics, and the largest coefficients, or
/// all of them.
std::vector<std::string> lines_of(const job::TrainedModel& model, storage::Storage* folder,
                                  bool all);

}  // namespace lambdaml::predict
