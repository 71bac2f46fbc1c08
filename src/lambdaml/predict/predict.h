#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lambdaml/base/uri.h"
#include "lambdaml/job/model_file.h"

namespace lambdaml::predict {

/// A model's predictions for rows and, if the rows have labels, their quality.
struct Predictions {
  std::vector<std::int32_t>
      labels;                 ///< per row: the predicted label; without labels: the class's number
  std::vector<float> scores;  ///< per row: the margin (log-odds for lr) of binary models
  std::uint64_t rows = 0;
  std::uint64_t unknown_labels = 0;  ///< rows whose label the model does not know: not measured
  /// The values that the model declares for predictions, in its order: its measures if rows have
  /// labels, otherwise its metrics. Empty if the model learns from labels and no row has one that
  /// it knows.
  struct Value {
    std::string name;
    double value = 0;
  };
  std::vector<Value> values;
};

/// Reads all of `data` and predicts each row; ignores features that the model never saw, and warns
/// of these and of labels that it does not know. `format` and `format_options` are those of
/// data::read(). Throws what data::read() throws.
Predictions predict(job::TrainedModel& model, const Uri& data, const std::string& format,
                    const Options& format_options = {});

}  // namespace lambdaml::predict
