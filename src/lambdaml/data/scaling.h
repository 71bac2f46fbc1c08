#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
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
/// What users are told of such columns, given by their texts: one line; nullopt if there are none,
/// or so few rows that they tell little. Models learn nothing from them, but real sets have such
/// columns (pixels at the edge of images), so they are no error.
std::optional<std::string> notice_of_constants(const std::string& what, std::uint64_t rows,
                                               const std::vector<std::string>& columns);
/// The same of the columns of these rows. Takes constant_columns().
std::optional<std::string> notice_of_constants(const std::string& what, const Dataset& rows);
/// Logs it as a warning.
void warn_of_constants(const std::string& what, const Dataset& rows);
/// Name of a column in such a line: a feature's name, or its number, counted from 1.
std::string column_text(const Names* names, std::size_t column);

/// The rows with scaled columns. Copies the values. Of sparse rows all centers must be 0.
Dataset scaled(const Dataset& dataset, const Scaling& scaling);

}  // namespace lambdaml::data
