#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/base/uri.h"
#include "lambdaml/job/model_file.h"

namespace lambdaml::predict {

/// A model's word on rows, and how good it is where the rows have labels.
struct Predictions {
  std::vector<std::int32_t>
      labels;                 ///< per row: the predicted label; k-means: the cluster's number
  std::vector<float> scores;  ///< per row: the margin (log-odds for lr) of binary models
  std::uint64_t rows = 0;
  std::optional<double> accuracy;
  std::optional<double> log_loss;  ///< −mean ln of the probability given to the true label (at
                                   ///< least 1e-15); models with probabilities only
  std::optional<double> auc;       ///< binary models: area under the ROC curve, ties count half
  std::optional<double> inertia;   ///< k-means: Σ squared distance to the nearest centroid
};

/// Reads `data` whole and predicts each row; features the model never saw are left out.
Predictions predict(job::TrainedModel& model, const Uri& data, const std::string& format);

}  // namespace lambdaml::predict
