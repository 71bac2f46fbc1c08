#pragma once

#include <pybind11/pybind11.h>

namespace lambdaml::python {

/// Searches of hyper-parameters.
void add_search(pybind11::module_& module);

}  // namespace lambdaml::python
