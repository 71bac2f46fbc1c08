#include "lambdaml/model/regression.h"

#include <cmath>

namespace lambdaml::model {
namespace {

double rmse(const Totals& totals) { return std::sqrt(2 * totals.loss / totals.rows); }

double mae(const Totals& totals) { return totals.absolute_error / totals.rows; }

/// 1 − Σ error² / Σ (y − mean y)². Of targets that are all the same 1 without an error and 0 with
/// one, as scikit-learn's r2_score.
double r2(const Totals& totals) {
  const double spread = spread_of_targets(totals);
  if (spread == 0) return totals.loss == 0 ? 1 : 0;
  return 1 - 2 * totals.loss / spread;
}

}  // namespace

double spread_of_targets(const Totals& totals) {
  const double mean = totals.targets / totals.rows;
  const double spread = totals.squared_targets - mean * totals.targets;
  const bool is_rounding = spread <= 1e-14 * totals.squared_targets;
  return is_rounding ? 0 : spread;
}

std::vector<Metric> regression_metrics() {
  return {{.name = "loss",
           .help = "half the squared error, mean per row, without penalties",
           .of = [](const Totals& totals) { return totals.loss / totals.rows; },
           .notation = Notation::significant,
           .digits = 6},
          {.name = "rmse",
           .help = "root of the mean squared error, in the unit of the target",
           .of = rmse,
           .notation = Notation::significant,
           .digits = 6},
          {.name = "mae",
           .help = "mean absolute error, in the unit of the target",
           .of = mae,
           .of_evaluation = true,
           .notation = Notation::significant,
           .digits = 6},
          {.name = "r2",
           .help = "share of the targets' variance that is explained, 1 − Σ error² / Σ (y − mean)²",
           .higher_is_better = true,
           .of = r2,
           .of_evaluation = true}};
}

}  // namespace lambdaml::model
