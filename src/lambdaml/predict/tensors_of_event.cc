#include "lambdaml/predict/tensors_of_event.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/array.h"

namespace lambdaml::predict {
namespace {

using data::Element;
using nlohmann::json;

/// Appends the numbers of one tensor of one row.
class Appender {
 public:
  Appender(data::TensorValues& to, std::string place) : to_(to), place_(std::move(place)) {}

  void append(const json& value, std::size_t depth = 0) {
    const std::vector<std::size_t>& shape = to_.shape.shape;
    if (depth == shape.size()) return append_number(value);
    if (!value.is_array() || value.size() != shape[depth])
      fail(Code::invalid_argument, "event: {}: it must be lists of the shape of {}", place_,
           to_.shape.text());
    for (const json& each : value) append(each, depth + 1);
  }

 private:
  template <class T>
  void put(T number) {
    std::memcpy(to_.values.extend(sizeof number), &number, sizeof number);
  }

  [[noreturn]] void refuse() const {
    fail(Code::invalid_argument, "event: {}: its numbers must be such as {} holds", place_,
         data::to_string(to_.shape.element));
  }

  template <class T>
  void put_integer(const json& value) {
    const bool fits = value.is_number_integer() &&
                      (!value.is_number_unsigned() ||
                       value.get<std::uint64_t>() <=
                           static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) &&
                      std::in_range<T>(value.get<std::int64_t>());
    if (!fits) refuse();
    put(static_cast<T>(value.get<std::int64_t>()));
  }

  void append_number(const json& value) {
    switch (to_.shape.element) {
      case Element::int64:
        return put_integer<std::int64_t>(value);
      case Element::int32:
        return put_integer<std::int32_t>(value);
      case Element::uint8:
        return put_integer<std::uint8_t>(value);
      case Element::float16:
        break;
      case Element::float32: {
        const double number = value.is_number() ? value.get<double>() : NAN;
        if (!(std::abs(number) <= std::numeric_limits<float>::max())) refuse();
        return put(static_cast<float>(number));
      }
    }
    fail(Code::invalid_argument, "event: {}: numbers of float16 are not taken from events", place_);
  }

  data::TensorValues& to_;
  std::string place_;
};

}  // namespace

data::Dataset tensors_of_event(const model::Shape& shape, const json& rows) {
  if (!rows.is_array()) fail(Code::invalid_argument, "event: 'rows' must be a list of rows");
  std::vector<data::TensorValues> inputs;
  for (const data::TensorShape& input : shape.inputs) inputs.push_back({input, {}});
  std::size_t count = 0;
  for (const json& row : rows) {
    const std::string place = fmt::format("rows[{}]", count++);
    if (!row.is_object() && inputs.size() != 1)
      fail(Code::invalid_argument, "event: {}: a row is an object with {}", place,
           data::TensorShapes{shape.inputs}.text());
    if (row.is_object() && row.size() != inputs.size())
      fail(Code::invalid_argument, "event: {} has {} tensors and the model learned from {}", place,
           row.size(), data::TensorShapes{shape.inputs}.text());
    for (data::TensorValues& input : inputs) {
      const std::string& name = input.shape.name;
      if (row.is_object() && !row.contains(name))
        fail(Code::invalid_argument, "event: {}: the tensor '{}' is missing", place,
             printable(name, 60));
      Appender(input, row.is_object() ? fmt::format("{}['{}']", place, printable(name, 60)) : place)
          .append(row.is_object() ? row[name] : row);
    }
  }
  return data::tensor_dataset(count, std::move(inputs), {}, {});
}

}  // namespace lambdaml::predict
