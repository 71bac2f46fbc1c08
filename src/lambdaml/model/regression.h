#pragma once

#include <vector>

#include "lambdaml/model/metric.h"

namespace lambdaml::model {

/// The metrics of models that predict numbers, with a loss of ½ error² per row: loss, rmse, mae and
/// r2. The last two need sums that only Model::evaluate() gives, so they are not those of training
/// steps.
std::vector<Metric> regression_metrics();

/// Σ (y − mean y)² of evaluated rows; 0 if nothing but rounding is left.
double spread_of_targets(const Totals& totals);

}  // namespace lambdaml::model
