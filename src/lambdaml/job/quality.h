#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/data/source.h"
#include "lambdaml/model/model.h"

/// Signs that a job which ended well has not learned well.
namespace lambdaml::job {

/// With more classes than this, workers do not report how many rows each has.
constexpr std::size_t kMostJudgedClasses = 10'000;

/// What a job's result is judged by.
struct Outcome {
  const Options& options;
  const data::Manifest& data;
  model::Totals train;  ///< of the final model on the training rows of all workers
  std::span<const std::uint64_t> class_rows;  ///< training rows of each class; empty: unknown
  /// Of the weights by which losses were multiplied, over these rows; empty: all are 1.
  std::span<const double> class_weight_sums;
  bool loss_is_log_loss = false;
  std::uint64_t epochs = 0;  ///< done
  std::string ended_by;
};

/// One line for each of these that is so: the model is no better than a constant one (on the
/// training rows: by log loss than the shares of the classes, weighted as the job weighs its rows,
/// or, for a model without probabilities and weights, by accuracy than the most frequent class; of
/// numbers, R² is not above 0); the optimizer has a criterion of convergence, and the epochs were
/// over before; a label of the data occurs in no training row. None for a job that is only paused.
std::vector<std::string> warnings_of(const Outcome& outcome);

}  // namespace lambdaml::job
