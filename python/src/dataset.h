#pragma once

#include <pybind11/pybind11.h>

#include "lambdaml/data/dataset.h"

namespace lambdaml::python {

/// Rows in memory. Uses the arrays that it was made of in place where they have the engine's form
/// (float32, rows one after the other), and keeps them.
class __attribute__((visibility("hidden"))) Dataset {
 public:
  Dataset(data::Dataset rows, std::vector<pybind11::object> arrays)
      : rows_(std::move(rows)), arrays_(std::move(arrays)) {}

  const data::Dataset& rows() const { return rows_; }

 private:
  data::Dataset rows_;
  std::vector<pybind11::object> arrays_;  ///< keep what rows_ views
};

void add_dataset(pybind11::module_& module);

}  // namespace lambdaml::python
