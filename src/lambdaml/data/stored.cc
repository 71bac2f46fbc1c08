#include "lambdaml/data/stored.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "lambdaml/base/error.h"
#include "lambdaml/base/memory.h"
#include "lambdaml/base/text.h"
#include "lambdaml/tensor/half.h"

namespace lambdaml::data {
namespace {

struct StoredKind {
  std::size_t size;
  Element element;
};
/// In the order of Stored.
constexpr std::array<StoredKind, 13> kStoredKinds = {{{2, Element::float16},
                                                      {2, Element::float32},
                                                      {4, Element::float32},
                                                      {8, Element::float32},
                                                      {1, Element::int32},
                                                      {2, Element::int32},
                                                      {4, Element::int32},
                                                      {8, Element::int64},
                                                      {1, Element::uint8},
                                                      {2, Element::int32},
                                                      {4, Element::int64},
                                                      {8, Element::int64},
                                                      {1, Element::uint8}}};

/// Up to this size a float holds every integer.
constexpr float kExactIntegers = 1 << 24;

/// Writes to(bits of number k) for each, in the order of the file.
template <class To, class Bits, class Convert>
void convert(const StoredArray& array, std::byte* out, const Convert& to) {
  const std::size_t n = array.bytes.size() / sizeof(Bits);
  for (std::size_t k = 0; k < n; ++k) {
    Bits bits = 0;
    std::memcpy(&bits, array.bytes.data() + k * sizeof bits, sizeof bits);
    if constexpr (sizeof bits > 1)
      if (array.swapped) bits = swapped_bytes(bits);
    const To value = static_cast<To>(to(bits));
    std::memcpy(out + k * sizeof value, &value, sizeof value);
  }
}

/// The numbers as element_of(type), in the order of the file.
void convert_all(const StoredArray& array, std::byte* out, const std::string& what) {
  const auto same = [](auto bits) { return bits; };
  switch (array.type) {
    case Stored::f16:
      return convert<std::uint16_t, std::uint16_t>(array, out, same);
    case Stored::bf16:
      return convert<std::uint32_t, std::uint16_t>(
          array, out, [](std::uint16_t bits) { return std::uint32_t{bits} << 16U; });
    case Stored::f32:
      return convert<std::uint32_t, std::uint32_t>(array, out, same);
    case Stored::f64:
      return convert<float, std::uint64_t>(
          array, out, [](std::uint64_t bits) { return std::bit_cast<double>(bits); });
    case Stored::i8:
      return convert<std::int32_t, std::uint8_t>(
          array, out, [](std::uint8_t bits) { return static_cast<std::int8_t>(bits); });
    case Stored::i16:
      return convert<std::int32_t, std::uint16_t>(
          array, out, [](std::uint16_t bits) { return static_cast<std::int16_t>(bits); });
    case Stored::i32:
      return convert<std::uint32_t, std::uint32_t>(array, out, same);
    case Stored::i64:
      return convert<std::uint64_t, std::uint64_t>(array, out, same);
    case Stored::u8:
      return convert<std::uint8_t, std::uint8_t>(array, out, same);
    case Stored::u16:
      return convert<std::int32_t, std::uint16_t>(array, out, same);
    case Stored::u32:
      return convert<std::int64_t, std::uint32_t>(array, out, same);
    case Stored::u64:
      return convert<std::int64_t, std::uint64_t>(array, out, [&](std::uint64_t bits) {
        if (bits > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
          fail(Code::data_corrupt, "reading {}: the number {} does not fit 64 bits with a sign",
               what, bits);
        return bits;
      });
    case Stored::boolean:
      return convert<std::uint8_t, std::uint8_t>(
          array, out, [](std::uint8_t bits) { return bits != 0 ? 1 : 0; });
  }
}

/// From the order in which the first index varies fastest to that in which the last one does.
void transpose(const StoredArray& array, std::size_t size, Array<std::byte>& values) {
  const std::size_t n = values.size() / size;
  Array<std::byte> out(values.size());
  std::vector<std::size_t> at(array.shape.size());
  std::vector<std::size_t> stride(array.shape.size(), 1);
  for (std::size_t d = 1; d < stride.size(); ++d) stride[d] = stride[d - 1] * array.shape[d - 1];
  std::size_t from = 0;
  for (std::size_t k = 0; k < n; ++k) {
    std::memcpy(out.data() + k * size, values.data() + from * size, size);
    for (std::size_t d = at.size(); d-- > 0;) {
      from += stride[d];
      if (++at[d] < array.shape[d]) break;
      from -= stride[d] * array.shape[d];
      at[d] = 0;
    }
  }
  values = std::move(out);
}

template <class T>
std::span<const T> numbers_of(const TensorValues& tensor) {
  return {reinterpret_cast<const T*>(tensor.values.data()), tensor.values.size() / sizeof(T)};
}

[[noreturn]] void refuse_label(std::size_t row, const std::string& value, const std::string& what) {
  fail(Code::data_corrupt,
       "{}: the label {} of row {} does not fit 32 bits: number the classes from 0", what, value,
       row + 1);
}

template <class T, class Convert>
Array<float> converted(const TensorValues& tensor, const Convert& to) {
  const std::span<const T> numbers = numbers_of<T>(tensor);
  Array<float> out(numbers.size());
  std::transform(numbers.begin(), numbers.end(), out.data(), to);
  return out;
}

Array<float> floats_of(const TensorValues& tensor) {
  const auto same = [](auto number) { return static_cast<float>(number); };
  switch (tensor.shape.element) {
    case Element::float32:
      return converted<float>(tensor, same);
    case Element::float16:
      return converted<std::uint16_t>(tensor, tensor::half_to_float);
    case Element::int64:
      return converted<std::int64_t>(tensor, same);
    case Element::int32:
      return converted<std::int32_t>(tensor, same);
    case Element::uint8:
      return converted<std::uint8_t>(tensor, same);
  }
  return {};
}

template <class T>
Labelling labels_from(const TensorValues& tensor, const std::string& what) {
  const std::span<const T> numbers = numbers_of<T>(tensor);
  Array<std::int32_t> labels(numbers.size());
  for (std::size_t r = 0; r < numbers.size(); ++r) {
    labels[r] = static_cast<std::int32_t>(numbers[r]);
    if (static_cast<T>(labels[r]) != numbers[r])
      refuse_label(r, std::to_string(static_cast<std::int64_t>(numbers[r])), what);
  }
  return labels;
}

Labelling labels_or_targets(Array<float> values) {
  const bool whole = std::all_of(values.data(), values.data() + values.size(), [](float value) {
    return value == std::floor(value) && std::abs(value) < kExactIntegers;
  });
  if (!whole) return values;
  Array<std::int32_t> labels(values.size());
  std::transform(values.data(), values.data() + values.size(), labels.data(),
                 [](float value) { return static_cast<std::int32_t>(value); });
  return labels;
}

/// Takes the array to learn from them.
std::optional<NamedArray> take_target(std::vector<NamedArray>& arrays, std::string_view label,
                                      const std::string& what) {
  if (label == "none") return {};
  auto found = arrays.end();
  if (!label.empty()) {
    found = std::ranges::find(arrays, label, &NamedArray::name);
    std::vector<std::string> names;
    for (const NamedArray& array : arrays) names.push_back(array.name);
    if (found == arrays.end())
      fail(Code::invalid_argument, "{}: --label '{}': it has no such array{}", what,
           printable(label, 60), did_you_mean(label, names));
  } else {
    for (const char* custom : {"y", "label", "target", "labels"})
      if (found == arrays.end()) found = std::ranges::find(arrays, custom, &NamedArray::name);
  }
  if (found == arrays.end()) return {};
  NamedArray out = std::move(*found);
  arrays.erase(found);
  return out;
}

bool is_one_number_per_row(const StoredArray& array) {
  return std::all_of(array.shape.begin() + 1, array.shape.end(),
                     [](std::size_t length) { return length == 1; });
}

}  // namespace

std::size_t size_of(Stored type) { return kStoredKinds.at(static_cast<std::size_t>(type)).size; }
Element element_of(Stored type) { return kStoredKinds.at(static_cast<std::size_t>(type)).element; }

TensorValues tensor_from(const StoredArray& array, std::string name, const std::string& what) {
  if (array.shape.empty())
    fail(Code::data_corrupt, "reading {}: '{}' is one number and no array of rows", what,
         printable(name, 60));
  TensorValues out{
      {std::move(name), element_of(array.type), {array.shape.begin() + 1, array.shape.end()}},
      Array<std::byte>()};
  require_possible(out.shape, "reading " + what);
  const std::size_t rows = array.rows();
  const std::size_t row_numbers = out.shape.row_numbers();
  if (array.bytes.size() / size_of(array.type) / row_numbers != rows ||
      array.bytes.size() != rows * row_numbers * size_of(array.type))
    fail(Code::data_corrupt,
         "reading {}: '{}' has {} bytes of values, and its shape has {} rows of {} numbers", what,
         printable(out.shape.name, 60), array.bytes.size(), rows, row_numbers);
  if (rows > machine_memory_bytes() / out.shape.row_bytes())
    fail(Code::resource_exhausted, "reading {}: '{}' does not fit the memory", what,
         printable(out.shape.name, 60));
  out.values = Array<std::byte>(rows * out.shape.row_bytes());
  convert_all(array, out.values.data(), what);
  if (array.fortran && array.shape.size() > 1)
    transpose(array, size_of(out.shape.element), out.values);
  if (!all_finite(Tensor{out.shape, out.values.data()}, rows))
    fail(Code::data_corrupt,
         "reading {}: '{}' has a number that is not finite: fill or remove it, for instance with "
         "numpy.nan_to_num(array)",
         what, printable(out.shape.name, 60));
  return out;
}

Labelling labelling_from(const StoredArray& array, const std::string& what) {
  const TensorValues tensor = tensor_from(array, "labels", what);
  switch (tensor.shape.element) {
    case Element::int64:
      return labels_from<std::int64_t>(tensor, what);
    case Element::int32:
      return labels_from<std::int32_t>(tensor, what);
    case Element::uint8:
      return labels_from<std::uint8_t>(tensor, what);
    default:
      return labels_or_targets(floats_of(tensor));
  }
}

Dataset features_from(const StoredArray& array, const std::string& what) {
  const TensorValues tensor = tensor_from(array, "features", what);
  return dense_dataset(floats_of(tensor), array.rows(), tensor.shape.row_numbers(), {});
}

Dataset dataset_of(std::vector<NamedArray> inputs, std::string_view label,
                   const std::string& what) {
  const std::optional<NamedArray> target = take_target(inputs, label, what);
  if (inputs.empty())
    fail(Code::data_corrupt, "reading {}: it has no array besides the one to learn", what);
  const auto rows_of = [&](const NamedArray& array) {
    if (array.array.shape.empty())
      fail(Code::data_corrupt, "reading {}: '{}' is one number and no array of rows", what,
           printable(array.name, 60));
    return array.array.rows();
  };
  const std::size_t rows = rows_of(inputs[0]);
  const auto require_rows = [&](const NamedArray& array) {
    if (rows_of(array) != rows)
      fail(Code::invalid_argument,
           "{}: '{}' has {} rows and '{}' has {}: each array needs one entry per row", what,
           printable(inputs[0].name, 60), rows, printable(array.name, 60), rows_of(array));
  };
  if (inputs.size() > kMostTensors)
    fail(Code::data_corrupt, "reading {}: it has more than {} arrays", what, kMostTensors);
  for (const NamedArray& input : inputs) require_rows(input);
  if (target) require_rows(*target);
  std::vector<TensorValues> tensors;
  for (const NamedArray& input : inputs)
    tensors.push_back(tensor_from(input.array, input.name, what));
  Labelling labelling;
  std::optional<TensorValues> learned;
  if (target && is_one_number_per_row(target->array))
    labelling = labelling_from(target->array, what);
  else if (target)
    learned = tensor_from(target->array, target->name, what);
  return tensor_dataset(rows, std::move(tensors), std::move(learned), std::move(labelling));
}

}  // namespace lambdaml::data
