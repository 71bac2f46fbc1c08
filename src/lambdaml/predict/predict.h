#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lambdaml/base/uri.h"
#include "lambdaml/job/model_file.h"

namespace lambdaml::predict {

/// A model's word on rows, and how good it is where the rows have labels.
struct Predictions {
  std::vector<std::int32_t>
      labels;                 ///< per row: the predicted label; without labels: the class's number
  std::vector<float> scores;  ///< per row: the margin (log-odds for lr) of binary models
  std::uint64_t rows = 0;
  /// What the model declares to be said of predictions, in its order: its measures where rows have
  /// labels, else its metrics. None of rows without the labels that it learns from.
  struct Value {
    std::string name;
    double value = 0;
  };
  std::vector<Value> values;
};

/// Reads `data` whole and predicts each row; features the model never saw are left out.
/// `format` and `format_options` as data::read() has them.
Predictions predict(job::TrainedModel& model, const Uri& data, const std::string& format,
                    const Options& format_options = {});

}  // namespace lambdaml::predict
