#pragma once

#include <cstdint>
#include <utility>
#include <variant>
#include <vector>

#include <pybind11/pybind11.h>

namespace lambdaml::python {

/// Numbers that Python sees in place by the buffer protocol, as an array of that shape.
class Values {
 public:
  template <class T>
  Values(std::vector<T> values, std::vector<pybind11::ssize_t> shape)
      : values_(std::move(values)), shape_(std::move(shape)) {}

  pybind11::buffer_info buffer();

 private:
  std::variant<std::vector<float>, std::vector<std::int32_t>, std::vector<std::uint32_t>> values_;
  std::vector<pybind11::ssize_t> shape_;
};

void add_values(pybind11::module_& module);

}  // namespace lambdaml::python
