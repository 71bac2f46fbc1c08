#pragma once

#include <cstddef>
#include <map>
#include <vector>

#include "lambdaml/data/dataset.h"

namespace lambdaml::data {

/// x ↦ (x − center) · factor of each column.
struct Scaling {
  std::vector<float> center;  ///< one per column
  std::vector<float> factor;

  bool empty() const { return factor.empty(); }
};

/// Sums over rows, per column, which can be added up over parts.
struct ColumnSums {
  std::vector<double> sums;
  std::vector<double> squares;
};
/// One pass over the stored values.
ColumnSums column_sums(const Dataset& dataset);
/// The largest absolute value of each column, 0 without rows. One pass.
std::vector<float> largest_absolutes(const Dataset& dataset);
/// Whether each value is 0 or 1. One pass that ends at the first that is neither.
bool is_binary(const Dataset& dataset);

/// The columns that have one value in all rows, by index, and that value. Of sparse rows only those
/// that have a value in each row: an index that never occurs is no column there. One pass over the
/// columns that are constant so far, so usually over a few rows.
std::map<std::size_t, float> constant_columns(const Dataset& dataset);
/// The rows with scaled columns. Copies the values. Of sparse rows all centers must be 0.
Dataset scaled(const Dataset& dataset, const Scaling& scaling);

}  // namespace lambdaml::data
