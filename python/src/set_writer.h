#pragma once

#include <pybind11/pybind11.h>

namespace lambdaml::python {

/// Prepared sets that are written part by part, in the memory of one part.
void add_set_writer(pybind11::module_& module);

}  // namespace lambdaml::python
