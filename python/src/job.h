#pragma once

#include <pybind11/pybind11.h>

namespace lambdaml::python {

/// Jobs that run on threads of their own.
void add_jobs(pybind11::module_& module);

}  // namespace lambdaml::python
