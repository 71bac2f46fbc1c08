#pragma once

#include <pybind11/pybind11.h>

namespace lambdaml::python {

/// Packages and functions of a Lambda service, and such a service on this machine.
void add_services(pybind11::module_& module);

}  // namespace lambdaml::python
