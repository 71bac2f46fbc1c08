#pragma once

#include <vector>

#include "lambdaml/model/metric.h"

/// What models that tell classes apart report.
namespace lambdaml::model {

/// loss: the mean of the model's loss per row; accuracy: the share of rows whose predicted class is
/// the target.
std::vector<Metric> classification_metrics();

/// accuracy; log_loss, for models with probabilities: −mean ln of the probability given to the true
/// label, at least 1e-15; auc, for two classes: the area under the ROC curve, ties count half.
std::vector<Measure> classification_measures();

}  // namespace lambdaml::model
