#pragma once

#include <string>

#include "lambdaml/data/array.h"
#include "lambdaml/data/stored.h"

/// NumPy's files of one array, `.npy` (NEP 1).
namespace lambdaml::data::npy {

/// An array of numbers as floats. One of one dimension is a column.
struct Matrix {
  Array<float> values;  ///< row by row, finite
  std::size_t rows = 0;
  std::size_t cols = 0;
};

bool is_npy(Bytes bytes);

/// An array as it is in the file: any type of integers and floats, both orders of bytes and of
/// rows. Throws data_corrupt, naming `what`, for damage and other types.
StoredArray read_array(Bytes bytes, const std::string& what);
/// One of at most two dimensions; also refuses values that are not finite.
Matrix read_matrix(Bytes bytes, const std::string& what);

}  // namespace lambdaml::data::npy
