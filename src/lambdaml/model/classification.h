#pragma once

#include <vector>

#include "lambdaml/model/metric.h"

/// The metrics of classifiers.
namespace lambdaml::model {

/// loss: the mean of the model's loss per row; accuracy: the share of rows whose predicted class is
/// the target.
std::vector<Metric> classification_metrics();

/// accuracy; log_loss, for models with probabilities: −mean ln of the probability of the true
/// label, clamped to at least 1e-15; auc: the area under the ROC curve, where ties count half, of
/// more than two classes (at most Tally::kMostRankedClasses) the mean of each against the others;
/// precision, recall and f1 of each class and their means over the classes that occur. The values
/// are those of scikit-learn.
std::vector<Measure> classification_measures();

}  // namespace lambdaml::model
