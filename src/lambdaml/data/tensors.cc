#include "lambdaml/data/tensors.h"

#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>
#include <set>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"

namespace lambdaml::data {
namespace {

struct Known {
  std::string_view name;
  std::size_t size;
};
/// In the order of Element.
constexpr std::array<Known, std::size(kElements)> kKnown = {
    {{"float32", 4}, {"float16", 2}, {"int64", 8}, {"int32", 4}, {"uint8", 1}}};

nlohmann::json json_of(const TensorShape& tensor) {
  return {{"name", tensor.name}, {"type", to_string(tensor.element)}, {"shape", tensor.shape}};
}

TensorShape shape_from(const nlohmann::json& json, std::string_view what) {
  TensorShape out;
  json.at("name").get_to(out.name);
  const auto element = element_from(json.at("type").get_ref<const std::string&>());
  if (!element)
    fail(Code::data_corrupt, "{}: its tensor '{}' has the unknown type '{}'", what,
         printable(out.name, 60), printable(json.at("type").get<std::string>(), 40));
  out.element = *element;
  for (const nlohmann::json& length : json.at("shape"))
    out.shape.push_back(length.is_number_unsigned() ? length.get<std::size_t>() : 0);
  require_possible(out, what);
  return out;
}

/// Whether the exponent of no number has all its bits set.
template <class Bits>
bool finite(Bytes bytes, Bits exponent) {
  for (std::size_t at = 0; at + sizeof(Bits) <= bytes.size(); at += sizeof(Bits)) {
    Bits bits = 0;
    std::memcpy(&bits, bytes.data() + at, sizeof bits);
    if ((bits & exponent) == exponent) return false;
  }
  return true;
}

}  // namespace

std::size_t size_of(Element element) { return kKnown.at(static_cast<std::size_t>(element)).size; }

bool is_integer(Element element) {
  return element != Element::float32 && element != Element::float16;
}

std::string_view to_string(Element element) {
  return kKnown.at(static_cast<std::size_t>(element)).name;
}

std::optional<Element> element_from(std::string_view text) {
  for (const Element element : kElements)
    if (to_string(element) == text) return element;
  return {};
}

std::size_t TensorShape::row_numbers() const {
  return std::accumulate(shape.begin(), shape.end(), std::size_t{1}, std::multiplies<>());
}

std::string TensorShape::text() const {
  std::vector<std::string> lengths;
  for (const std::size_t length : shape) lengths.push_back(std::to_string(length));
  return fmt::format("{}: {} [{}]", printable(name, 60), to_string(element), join(lengths, ", "));
}

std::string TensorShapes::text() const {
  std::vector<std::string> all;
  for (const TensorShape& input : inputs) all.push_back(input.text());
  if (target) all.push_back("to learn " + target->text());
  return all.empty() ? "none" : join(all, ", ");
}

void require_possible(const TensorShape& tensor, std::string_view what) {
  const auto refuse = [&](std::string_view why) {
    fail(Code::data_corrupt, "{}: its tensor '{}' {}", what, printable(tensor.name, 60), why);
  };
  if (tensor.name.empty() || tensor.name.size() > kMostNameBytes)
    refuse(fmt::format("needs a name of 1 to {} bytes", kMostNameBytes));
  if (!is_utf8(tensor.name)) refuse("has a name that is no UTF-8");
  if (tensor.shape.size() > kMostDimensions)
    refuse(fmt::format("has rows of more than {} dimensions", kMostDimensions));
  std::size_t bytes = size_of(tensor.element);
  for (const std::size_t length : tensor.shape) {
    if (length == 0) refuse("has rows without numbers");
    if (length > kMostRowBytes / bytes) refuse("has rows of more than 16 GB");
    bytes *= length;
  }
}

std::string tensors_text(const TensorShapes& shapes) {
  nlohmann::json json{{"inputs", nlohmann::json::array()}};
  for (const TensorShape& input : shapes.inputs) json["inputs"].push_back(json_of(input));
  if (shapes.target) json["target"] = json_of(*shapes.target);
  return json_text(json);
}

TensorShapes tensors_from(std::string_view text, std::string_view what) {
  TensorShapes out;
  if (text.empty()) return out;
  std::set<std::string> names;
  try {
    const nlohmann::json json = parse_json(text);
    for (const nlohmann::json& input : json.at("inputs")) {
      if (out.inputs.size() == kMostTensors)
        fail(Code::data_corrupt, "{}: it has more than {} tensors", what, kMostTensors);
      out.inputs.push_back(shape_from(input, what));
      if (!names.insert(out.inputs.back().name).second)
        fail(Code::data_corrupt, "{}: two of its tensors are named '{}'", what,
             printable(out.inputs.back().name, 60));
    }
    if (json.contains("target")) out.target = shape_from(json["target"], what);
  } catch (const nlohmann::json::exception&) {
    fail(Code::data_corrupt, "{}: its tensors are of another form than this program writes", what);
  }
  if (out.inputs.empty()) fail(Code::data_corrupt, "{}: it has a target and no tensors", what);
  return out;
}

bool all_finite(const Tensor& tensor, std::size_t rows) {
  if (tensor.element == Element::float32)
    return finite<std::uint32_t>(tensor.bytes(rows), 0x7f800000U);
  if (tensor.element == Element::float16) return finite<std::uint16_t>(tensor.bytes(rows), 0x7c00U);
  return true;
}

Tensor Tensor::from_row(std::size_t begin) const {
  Tensor out = *this;
  out.values = row(begin);
  return out;
}

std::vector<Tensor> from_row(std::span<const Tensor> tensors, std::size_t begin) {
  std::vector<Tensor> out(tensors.begin(), tensors.end());
  for (Tensor& tensor : out) tensor.values = tensor.row(begin);
  return out;
}

std::optional<Tensor> from_row(const std::optional<Tensor>& tensor, std::size_t begin) {
  return tensor ? std::optional(tensor->from_row(begin)) : std::nullopt;
}

}  // namespace lambdaml::data
