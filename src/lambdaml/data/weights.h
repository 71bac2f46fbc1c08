#pragma once

#include <string>

#include "lambdaml/base/options.h"
#include "lambdaml/data/array.h"
#include "lambdaml/data/dataset.h"

/// Weights of rows, by which their losses are multiplied in training: a row of weight 2 counts as
/// the same row twice. They come from a column of a table or an array beside the rows, which the
/// option `weight_column` names; prepared sets keep them. Rows that a model only predicts or is
/// tested on need none.
namespace lambdaml::data {

/// What the option says. Options without it say nothing.
struct WeightColumn {
  explicit WeightColumn(const Options& options);

  std::string name;         ///< of a column or an array; empty: none is named
  bool is_refused = false;  ///< `none`: rows are to have no weights
};

/// Throws invalid_argument, naming `what`, if weights are asked for and `has` is false.
void require_weights(const WeightColumn& wanted, bool has, const std::string& what);
/// Throws invalid_argument, naming `what`, if the rows have weights and all of them are 0.
void require_positive_weights(const Dataset& dataset, const std::string& what);

/// The sum of the rows' weights; 0 if they have none.
double sum_of_weights(const Dataset& dataset);

/// The rows with these weights, one per row. Throws invalid_argument, naming `what`, for another
/// number of them, and data_corrupt for a negative one.
Dataset with_weights(const Dataset& rows, Array<float> weights, const std::string& what);

}  // namespace lambdaml::data
