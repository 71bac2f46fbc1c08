#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "lambdaml/data/align.h"
#include "lambdaml/data/dataset.h"
#include "lambdaml/data/places.h"
#include "lambdaml/job/model_file.h"
#include "lambdaml/model/table.h"
#include "lambdaml/predict/quality.h"

namespace lambdaml::predict {

/// What is asked of a model.
struct Request {
  model::Model::Wanted shown = {};  ///< in the table, besides the prediction itself
  /// The rows' labels are not the model's, or none at all: nothing is measured.
  bool ignore_labels = false;
};

/// How rows must be read and aligned for that.
data::Learned learned_by(const model::Shape& shape, const Request& request);

/// Throws invalid_argument if the model cannot do that: it has no probabilities. `what` names it.
void require_possible(const job::TrainedModel& model, const Request& request,
                      const std::string& what);

/// A model's predictions for rows and, if the rows have labels, their quality.
struct Predictions {
  model::Table table;
  Quality quality;
};

/// Predicts each row, after data::align(). `what` names the data in messages. Throws
/// invalid_argument, naming them, for labels that the model does not know. Calls `between` (if any)
/// about every 65,536 rows; it may throw.
Predictions predict(job::TrainedModel& model, const data::Dataset& data, const std::string& what,
                    const Request& request, const std::function<void()>& between = {});

/// Reads all of `data` and predicts it. `format` and `format_options` are those of data::read().
/// Throws what data::read() throws, too.
Predictions predict(job::TrainedModel& model, const data::Places& data, const std::string& format,
                    const Options& format_options = {}, const Request& request = {});

}  // namespace lambdaml::predict
