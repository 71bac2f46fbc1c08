#pragma once

#include <pybind11/pybind11.h>

namespace lambdaml::python {

/// Trained models and their predictions.
void add_model(pybind11::module_& module);

}  // namespace lambdaml::python
