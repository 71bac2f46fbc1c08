#include "values.h"

namespace lambdaml::python {

namespace py = pybind11;

py::buffer_info Values::buffer() {
  return std::visit(
      [this](auto& values) {
        using Number = typename std::decay_t<decltype(values)>::value_type;
        std::vector<py::ssize_t> strides(shape_.size());
        auto stride = static_cast<py::ssize_t>(sizeof(Number));
        for (std::size_t i = shape_.size(); i-- > 0;) {
          strides[i] = stride;
          stride *= shape_[i];
        }
        return py::buffer_info(values.data(), sizeof(Number),
                               py::format_descriptor<Number>::format(),
                               static_cast<py::ssize_t>(shape_.size()), shape_, strides);
      },
      values_);
}

void add_values(py::module_& module) {
  py::class_<Values>(module, "Values", py::buffer_protocol()).def_buffer(&Values::buffer);
}

}  // namespace lambdaml::python
