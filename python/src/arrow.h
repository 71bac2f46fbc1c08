#pragma once

#include <pybind11/pybind11.h>

namespace lambdaml::python {

/// Tables of any library that speaks the Arrow C data interface
/// (https://arrow.apache.org/docs/format/ CDataInterface.html), without linking one.
void add_arrow(pybind11::module_& module);

}  // namespace lambdaml::python
