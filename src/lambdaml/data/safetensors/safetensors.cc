#include "lambdaml/tensor/safetensors.h"

#include <algorithm>
#include <cstring>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/data/shared_options.h"
#include "lambdaml/data/stored.h"

/// Any safetensors file whose tensors have one entry per row: each is an input under its name, and
/// one may be what to learn. Their order is that in which they lie in the file, or that of the
/// metadata `inputs`, a JSON list of names. Prepared sets are
/// safetensors files too, of the format `shard`.
namespace lambdaml::data::safetensors {
namespace {

constexpr std::pair<tensor::Dtype, Stored> kTypes[] = {
    {tensor::Dtype::f16, Stored::f16},        {tensor::Dtype::bf16, Stored::bf16},
    {tensor::Dtype::f32, Stored::f32},        {tensor::Dtype::f64, Stored::f64},
    {tensor::Dtype::i8, Stored::i8},          {tensor::Dtype::i16, Stored::i16},
    {tensor::Dtype::i32, Stored::i32},        {tensor::Dtype::i64, Stored::i64},
    {tensor::Dtype::u8, Stored::u8},          {tensor::Dtype::u16, Stored::u16},
    {tensor::Dtype::u32, Stored::u32},        {tensor::Dtype::u64, Stored::u64},
    {tensor::Dtype::boolean, Stored::boolean}};

constexpr const char* kInputs = "inputs";

/// The length of its header in 8 bytes, then the header's brace.
bool recognizes(Bytes head) {
  if (head.size() < 9 || head[8] != std::byte{'{'}) return false;
  std::uint64_t length = 0;
  std::memcpy(&length, head.data(), sizeof length);
  return length < (std::uint64_t{1} << 32);
}

/// `order`: a JSON list of names, which go first.
void put_in_order(const std::string& order, const std::string& what,
                  std::vector<NamedArray>& arrays) {
  const nlohmann::json names = parse_json(order);
  if (!names.is_array()) fail(Code::data_corrupt, "reading {}: 'inputs' is no list", what);
  auto next = arrays.begin();
  for (const nlohmann::json& name : names) {
    const auto found = std::find_if(next, arrays.end(), [&](const NamedArray& array) {
      return name.is_string() && array.name == name.get_ref<const std::string&>();
    });
    if (found == arrays.end())
      fail(Code::data_corrupt, "reading {}: 'inputs' names tensors that are not there, or twice",
           what);
    std::rotate(next, found, found + 1);
    ++next;
  }
}

Dataset read(const std::shared_ptr<const Buffer>& bytes, const ReadOptions& options) {
  const tensor::SafetensorsFile file(bytes, options.what);
  const auto format = file.metadata().find("format");
  if (format != file.metadata().end() && format->second.starts_with("lambdaml-"))
    fail(Code::data_corrupt, "reading {}: it is a {} of this program and no data set", options.what,
         printable(format->second.substr(9), 40));
  std::vector<NamedArray> arrays;
  for (const tensor::Tensor& tensor : file.tensors()) {
    const auto* const type =
        std::ranges::find(kTypes, tensor.dtype, &std::pair<tensor::Dtype, Stored>::first);
    arrays.push_back(
        {tensor.name, {.type = type->second, .shape = tensor.shape, .bytes = tensor.bytes}});
  }
  if (const auto order = file.metadata().find(kInputs); order != file.metadata().end())
    put_in_order(order->second, options.what, arrays);
  const bool declared = options.options.find("label") != nullptr;
  return dataset_of(std::move(arrays), declared ? options.options.text("label") : "", options.what);
}

constexpr std::pair<Element, tensor::Dtype> kElementTypes[] = {
    {Element::float32, tensor::Dtype::f32},
    {Element::float16, tensor::Dtype::f16},
    {Element::int64, tensor::Dtype::i64},
    {Element::int32, tensor::Dtype::i32},
    {Element::uint8, tensor::Dtype::u8}};

Buffer write(const Dataset& dataset) {
  if (dataset.tensors.empty())
    fail(Code::invalid_argument, "writing safetensors: it holds tensors, and these are features");
  tensor::SafetensorsWriter writer;
  const std::size_t rows = dataset.rows();
  const auto add = [&](const Tensor& from) {
    const auto* const type =
        std::ranges::find(kElementTypes, from.element, &std::pair<Element, tensor::Dtype>::first);
    std::vector<std::size_t> shape{rows};
    shape.insert(shape.end(), from.shape.begin(), from.shape.end());
    writer.add(tensor::Tensor{from.name, type->second, std::move(shape), from.bytes(rows)});
  };
  nlohmann::json order = nlohmann::json::array();
  for (const Tensor& input : dataset.tensors) {
    add(input);
    order.push_back(input.name);
  }
  writer.set_metadata(kInputs, json_text(order));
  if (dataset.target_tensor) add(*dataset.target_tensor);
  if (!dataset.labels.empty()) writer.add("label", {rows}, dataset.labels);
  if (!dataset.targets.empty()) writer.add("target", {rows}, dataset.targets);
  return writer.serialize();
}

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "safetensors",
                .formats = {"safetensors"},
                .help = "named tensors of one entry per row, one of which may be to learn",
                .recognizes = recognizes,
                .read = read,
                .write = write,
                .options = {label_option()}});
}

}  // namespace lambdaml::data::safetensors
