#pragma once

#include <cstdint>
#include <vector>

#include "lambdaml/data/dataset.h"
#include "lambdaml/model/model.h"

namespace lambdaml::model {

/// A labelled set of rows in the form that models expect, with its owner.
struct Rows {
  data::Dataset data;
  std::vector<float> targets;
  std::vector<float> weights = {};  ///< see Batch

  std::size_t size() const { return data.rows(); }
  Batch batch(std::size_t begin, std::size_t end) const;
  Batch all() const { return batch(0, size()); }
};

/// The rows with their targets or, if these are whole numbers, labels as numbers to be predicted.
Rows with_numbers(data::Dataset data);

/// The class number of each label, −1 for a label that is not in `map` (ascending). Empty if the
/// data are unlabelled.
Rows with_targets(data::Dataset data, const std::vector<std::int32_t>& map);

}  // namespace lambdaml::model
