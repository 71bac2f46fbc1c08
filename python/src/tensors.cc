#include "tensors.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <pybind11/stl.h>

#include "dataset.h"
#include "gil.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/tensors.h"

namespace lambdaml::python {
namespace {

namespace py = pybind11;

data::Element element_of(const std::string& format, const std::string& name) {
  const std::string code =
      format.size() == 2 && (format[0] == '<' || format[0] == '=') ? format.substr(1) : format;
  if (code == "f") return data::Element::float32;
  if (code == "e") return data::Element::float16;
  if (code == "l" || code == "q") return data::Element::int64;
  if (code == "i") return data::Element::int32;
  if (code == "B") return data::Element::uint8;
  fail(Code::invalid_argument,
       "the tensor '{}' has numbers of the type '{}': convert them to float32, float16, int64, "
       "int32 or uint8",
       printable(name, 60), printable(format, 20));
}

/// The array, whose first dimension are the rows, as a tensor that views it.
data::Tensor view_of(const std::string& name, const py::buffer& array, std::size_t rows) {
  const py::buffer_info info = array.request();
  if (PyBuffer_IsContiguous(info.view(), 'C') == 0)
    throw py::value_error("the tensor '" + name + "' does not lie in one piece, row after row");
  if (info.ndim < 1 || static_cast<std::size_t>(info.shape[0]) != rows)
    fail(Code::invalid_argument, "the tensor '{}' has not {} rows, as the first one",
         printable(name, 60), rows);
  data::Tensor out;
  out.name = name;
  out.element = element_of(info.format, name);
  out.shape.assign(info.shape.begin() + 1, info.shape.end());
  out.values = static_cast<const std::byte*>(info.ptr);
  data::require_possible(out, "the tensors");
  if (reinterpret_cast<std::uintptr_t>(out.values) % data::size_of(out.element) != 0)
    fail(Code::invalid_argument, "the tensor '{}' is not aligned: copy it", printable(name, 60));
  return out;
}

using Named = std::pair<std::string, py::buffer>;

Dataset tensors(const std::vector<Named>& inputs, const std::optional<Named>& target) {
  const AtWork at_work;
  if (inputs.empty()) fail(Code::invalid_argument, "a set of tensors needs one tensor at least");
  const py::buffer_info first = inputs.front().second.request();
  if (first.ndim < 1)
    fail(Code::invalid_argument, "the tensor '{}' is one number: its first dimension are the rows",
         printable(inputs.front().first, 60));
  const auto rows = static_cast<std::size_t>(first.shape[0]);
  data::Dataset out;
  std::vector<py::object> arrays;
  for (const auto& [name, array] : inputs) {
    out.tensors.push_back(view_of(name, array, rows));
    arrays.push_back(array);
  }
  if (target) {
    out.target_tensor = view_of(target->first, target->second, rows);
    arrays.push_back(target->second);
  }
  out.features = tensor::DenseView{nullptr, rows, 0};
  unlocked([&] {
    const std::string text = data::tensors_text(out.tensor_shapes());
    data::tensors_from(text, "the tensors");
    const auto require = [&](const data::Tensor& tensor) {
      if (!data::all_finite(tensor, rows))
        fail(Code::invalid_argument, "the tensor '{}' contains NaN or infinity",
             printable(tensor.name, 60));
    };
    for (const data::Tensor& tensor : out.tensors) require(tensor);
    if (out.target_tensor) require(*out.target_tensor);
  });
  return {std::move(out), std::move(arrays)};
}

}  // namespace

void add_tensors(py::module_& module) {
  module.def("tensors", tensors, py::arg("inputs"), py::arg("target") = py::none());
}

}  // namespace lambdaml::python
