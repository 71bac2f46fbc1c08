#pragma once

#include <pybind11/pybind11.h>

namespace lambdaml::python {

/// Data sets of named tensors.
void add_tensors(pybind11::module_& module);

}  // namespace lambdaml::python
