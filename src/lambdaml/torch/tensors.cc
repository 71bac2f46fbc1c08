#include "lambdaml/torch/tensors.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/script.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"

namespace lambdaml::torch_library {

std::string own_message(std::string_view text) {
  // A script's traceback shows lines of code, each with a mark below what failed, and ends with
  // what went wrong. Anything else begins with that, perhaps after an empty line.
  constexpr std::string_view kMark = "<--- HERE";
  const std::size_t mark = text.rfind(kMark);
  std::string found;
  if (mark == std::string_view::npos) {
    for (const std::string& line : split(text, '\n'))
      if (found.empty()) found = trim(line);
    return found;
  }
  for (const std::string& line : split(text.substr(mark + kMark.size()), '\n')) {
    if (trim(line).empty()) continue;
    // More code may follow the mark; it is indented, and the message is not.
    if (found.empty() && line.front() == ' ') continue;
    if (!found.empty()) found += ' ';
    found += trim(line);
  }
  std::string code;
  std::string operation;
  for (const std::string& line : split(text.substr(0, mark), '\n')) {
    const std::size_t begin = line.find('~');
    if (trim(line).starts_with('~') && begin < code.size())
      operation = trim(code.substr(begin, line.rfind('~') - begin + 1));
    code = line;
  }
  if (!operation.empty()) found += fmt::format(" (in `{}`)", operation);
  return found;
}

bool is_out_of_memory(const std::exception& error) {
  return dynamic_cast<const std::bad_alloc*>(&error) != nullptr ||
         std::string_view(error.what()).find("allocate memory") != std::string_view::npos;
}

void rethrow(std::string_view what, Code code) {
  try {
    throw;
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    if (is_out_of_memory(error)) throw std::bad_alloc();
    const auto* const from_torch = dynamic_cast<const c10::Error*>(&error);
    fail(code, "{}: libtorch says: {}", what,
         own_message(from_torch == nullptr ? error.what() : from_torch->what_without_backtrace()));
  }
}

void use_threads(std::size_t threads) { at::set_num_threads(static_cast<int>(threads)); }

at::Tensor view_of(std::span<float> values, const std::vector<std::int64_t>& shape) {
  return at::from_blob(values.data(), shape, at::kFloat);
}

namespace {

at::ScalarType type_of(data::Element element) {
  switch (element) {
    case data::Element::float32:
      return at::kFloat;
    case data::Element::float16:
      return at::kHalf;
    case data::Element::int64:
      return at::kLong;
    case data::Element::int32:
      return at::kInt;
    case data::Element::uint8:
      break;
  }
  return at::kByte;
}

std::vector<std::int64_t> sizes_of(const data::TensorShape& shape, std::size_t rows) {
  std::vector<std::int64_t> sizes = {static_cast<std::int64_t>(rows)};
  sizes.insert(sizes.end(), shape.shape.begin(), shape.shape.end());
  return sizes;
}

void* place_of(const std::byte* values) { return const_cast<std::byte*>(values); }

}  // namespace

at::Tensor tensor_of(const data::Tensor& tensor, std::size_t rows) {
  return at::from_blob(place_of(tensor.values), sizes_of(tensor, rows), type_of(tensor.element));
}

at::Tensor tensor_of(const model::Input& input, std::size_t rows) {
  if (!input.pixel_by_pixel) return tensor_of(input.tensor, rows);
  const std::vector<std::int64_t> sizes = sizes_of(input.tensor, rows);
  if (sizes.size() != 4) fail(Code::internal, "{} is no image", input.tensor.text());
  const std::int64_t channels = sizes[1], height = sizes[2], width = sizes[3];
  return at::from_blob(place_of(input.tensor.values), sizes,
                       {channels * height * width, 1, width * channels, channels},
                       type_of(input.tensor.element));
}

std::vector<float> numbers_in(const at::Tensor& tensor) {
  std::vector<float> out(static_cast<std::size_t>(tensor.numel()));
  view_of(out, tensor.sizes().vec()).copy_(tensor);
  return out;
}

std::string text_of(const at::Tensor& tensor) {
  const std::string_view name = c10::toString(tensor.scalar_type());
  std::string type(name);
  for (const data::Element element : data::kElements)
    if (type_of(element) == tensor.scalar_type()) type = data::to_string(element);
  return fmt::format("{} [{}]", type, fmt::join(tensor.sizes().vec(), ", "));
}

FlatVectors::FlatVectors(const std::vector<model::Model::Piece>& learned,
                         const std::vector<model::Model::Piece>& statistics) {
  std::size_t at = 0;
  const auto place = [&](const std::vector<model::Model::Piece>& pieces, std::vector<Place>& out) {
    for (const model::Model::Piece& piece : pieces) {
      out.push_back({at, model::elements(piece), {piece.shape.begin(), piece.shape.end()}});
      at += out.back().size;
    }
  };
  place(learned, learned_);
  place(statistics, statistics_);
}

std::vector<at::Tensor> FlatVectors::views(const std::vector<Place>& places,
                                           std::span<float> flat) {
  std::vector<at::Tensor> out;
  out.reserve(places.size());
  for (const Place& place : places)
    out.push_back(view_of(flat.subspan(place.begin, place.size), place.shape));
  return out;
}

std::vector<at::Tensor> FlatVectors::learned(std::span<float> flat) const {
  return views(learned_, flat);
}

std::vector<at::Tensor> FlatVectors::statistics(std::span<float> flat) const {
  return views(statistics_, flat);
}

std::vector<at::Tensor> FlatVectors::with_gradients(std::span<const float> parameters,
                                                    std::span<float> sums) const {
  std::vector<at::Tensor> weights = learned(writable(parameters));
  const std::vector<at::Tensor> gradients = learned(sums);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    weights[i].requires_grad_(true);
    weights[i].mutable_grad() = gradients[i];
  }
  return weights;
}

std::vector<at::Tensor> FlatVectors::copy_of_statistics(std::span<const float> parameters) const {
  std::vector<at::Tensor> out = statistics(writable(parameters));
  for (at::Tensor& tensor : out) tensor = tensor.clone();
  return out;
}

void FlatVectors::add_changes(const std::vector<at::Tensor>& statistics,
                              std::span<const float> parameters, double rows,
                              std::span<float> sums) const {
  const std::vector<at::Tensor> before = this->statistics(writable(parameters));
  const std::vector<at::Tensor> to = this->statistics(sums);
  for (std::size_t i = 0; i < to.size(); ++i) to[i].add_(statistics[i] - before[i], rows);
}

}  // namespace lambdaml::torch_library
