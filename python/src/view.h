#pragma once

#include <pybind11/pybind11.h>

namespace lambdaml::python {

/// Jobs seen from outside, by their runs' folders or URIs.
void add_views(pybind11::module_& module);

}  // namespace lambdaml::python
