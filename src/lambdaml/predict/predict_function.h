#pragma once

#include <string>
#include <string_view>

#include "lambdaml/faas/runtime.h"
#include "lambdaml/job/model_file.h"

namespace lambdaml::predict {

/// The environment variable with the path or URI of the model that the function predicts with, as
/// `lambdaml deploy --handler predict --model URI` sets it.
inline constexpr const char* kModelVariable = "LAMBDAML_PREDICT_MODEL";

/// The function handler `predict`: answers rows given as JSON.
///
/// The event is {"rows": […]}. A row is a list of all features, or an object with the features that
/// are not 0, by index (from 1, as in LIBSVM files) or name. The answer holds a list per column of
/// the model's predictions, in the order of the rows: for classifiers `labels`, `scores` and
/// `probabilities` (rows × classes; null for models without probabilities) and `classes`, the order
/// of their columns.
///
/// The model is read and checked at the first event of an instance, and kept; requests after that:
/// none. Throws invalid_argument for a bad event, naming the row, and what job::read_model()
/// throws.
std::string handle_predict_event(const faas::Invocation& invocation);

/// Answers an event with a given model.
std::string answer(job::TrainedModel& model, std::string_view event);

}  // namespace lambdaml::predict
