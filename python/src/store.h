#pragma once

#include <pybind11/pybind11.h>

namespace lambdaml::python {

/// The engine's stores, by URI.
void add_stores(pybind11::module_& module);

}  // namespace lambdaml::python
