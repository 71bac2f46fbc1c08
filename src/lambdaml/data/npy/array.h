#pragma once

#include <string>

#include "lambdaml/data/array.h"

/// NumPy's files of one array, `.npy` (NEP 1).
namespace lambdaml::data::npy {

/// An array of numbers as floats. One of one dimension is a column.
struct Matrix {
  Array<float> values;  ///< row by row, finite
  std::size_t rows = 0;
  std::size_t cols = 0;
};

bool is_npy(Bytes bytes);

/// Any type of integers and floats, both orders of bytes and of rows. Throws data_corrupt, naming
/// `what`, for damage, other types, more than two dimensions, and values that are not finite.
Matrix read_matrix(Bytes bytes, const std::string& what);

}  // namespace lambdaml::data::npy
