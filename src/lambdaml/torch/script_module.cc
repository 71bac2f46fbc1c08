#include "lambdaml/torch/script_module.h"

#include <algorithm>
#include <istream>
#include <map>
#include <sstream>
#include <streambuf>

#include <fmt/format.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/model/frozen.h"

namespace lambdaml::torch_library {
namespace {

using Piece = model::Model::Piece;
using tensor::Dtype;

/// Bytes as a stream, without a copy.
class View final : public std::streambuf {
 public:
  explicit View(Bytes bytes) {
    char* const begin = const_cast<char*>(reinterpret_cast<const char*>(bytes.data()));
    setg(begin, begin, begin + bytes.size());
  }

 private:
  pos_type seekoff(off_type offset, std::ios_base::seekdir from, std::ios_base::openmode) override {
    char* const base = from == std::ios_base::beg   ? eback()
                       : from == std::ios_base::cur ? gptr()
                                                    : egptr();
    if (offset < eback() - base || offset > egptr() - base) return pos_type(off_type(-1));
    setg(eback(), base + offset, egptr());
    return gptr() - eback();
  }
  pos_type seekpos(pos_type position, std::ios_base::openmode mode) override {
    return seekoff(off_type(position), std::ios_base::beg, mode);
  }
};

::torch::jit::Module read(Bytes file, const std::string& what) {
  View view(file);
  std::istream stream(&view);
  try {
    return ::torch::jit::load(stream, at::kCPU);
  } catch (const std::exception& error) {
    fail(Code::data_corrupt, "{}: no TorchScript file that this libtorch reads: {}", what,
         own_message(error.what()));
  }
}

::torch::jit::Module submodule(::torch::jit::Module module, const std::vector<std::string>& path) {
  for (const std::string& name : path) module = module.attr(name).toModule();
  return module;
}

/// The names on the way to a layer's tensor of that dotted name.
std::vector<std::string> path_to(const std::string& name) {
  std::vector<std::string> path = split(name, '.');
  path.pop_back();
  return path;
}

/// Replaces a tensor by the dotted name that named_parameters() gives it.
void set_tensor(const ::torch::jit::Module& module, const std::string& name,
                const at::Tensor& tensor) {
  submodule(module, path_to(name)).setattr(split(name, '.').back(), tensor);
}

std::optional<Dtype> dtype_of(const at::Tensor& tensor) {
  static const std::map<at::ScalarType, Dtype> kDtypes = {
      {at::kFloat, Dtype::f32},   {at::kDouble, Dtype::f64},    {at::kHalf, Dtype::f16},
      {at::kInt, Dtype::i32},     {at::kBFloat16, Dtype::bf16}, {at::kLong, Dtype::i64},
      {at::kByte, Dtype::u8},     {at::kChar, Dtype::i8},       {at::kShort, Dtype::i16},
      {at::kBool, Dtype::boolean}};
  const auto found = kDtypes.find(tensor.scalar_type());
  return found == kDtypes.end() ? std::nullopt : std::optional(found->second);
}

std::vector<std::size_t> shape_of(const at::Tensor& tensor) {
  return {tensor.sizes().begin(), tensor.sizes().end()};
}

std::string file_of(const ::torch::jit::Module& module) {
  std::ostringstream out;
  module.save(out);
  return std::move(out).str();
}

}  // namespace

ScriptModule::ScriptModule(Bytes file, const std::string& what, const std::string& freeze)
    : module_(read(file, what)) {
  // Copies of the lists, because take() may replace tensors of the module.
  Named parameters, buffers;
  for (const auto& one : module_.named_parameters()) parameters.emplace_back(one.name, one.value);
  for (const auto& one : module_.named_buffers()) buffers.emplace_back(one.name, one.value);
  this->freeze(freeze, parameters, buffers, what);
  for (const auto& [name, tensor] : parameters) take(name, tensor, true, what);
  for (const auto& [name, tensor] : buffers) take(name, tensor, false, what);
  const auto frozen = std::ranges::count_if(
      parameters, [](const auto& parameter) { return !parameter.second.requires_grad(); });
  if (weights_.empty())
    fail(
        Code::invalid_argument, "{}: the TorchScript module carries no parameters to learn{}", what,
        frozen == 0 ? "" : fmt::format(": none of its {} wants gradients (requires_grad)", frozen));
  for (const at::Tensor& tensor : weights_) initial_.push_back(tensor.detach().clone());
  for (const at::Tensor& tensor : buffers_) initial_.push_back(tensor.detach().clone());
  vectors_.emplace(learned_, statistics_);
  want_gradients(false);
}

void ScriptModule::freeze(const std::string& layers, const Named& parameters, const Named& buffers,
                          const std::string& what) {
  if (layers.empty()) return;
  std::vector<Piece> learned, statistics;
  for (const auto& [name, tensor] : parameters)
    if (tensor.requires_grad()) learned.push_back({name, shape_of(tensor)});
  for (const auto& [name, tensor] : buffers)
    if (tensor.scalar_type() == at::kFloat) statistics.push_back({name, shape_of(tensor)});
  const model::Frozen frozen = model::frozen_of(layers, learned, statistics, what);
  std::vector<const void*> kept;  // under every name that a tensor has
  for (const auto& [name, tensor] : parameters) {
    const auto at = std::ranges::find(learned, name, &Piece::name) - learned.begin();
    if (tensor.requires_grad() && frozen.learned[static_cast<std::size_t>(at)])
      kept.push_back(tensor.data_ptr());
  }
  for (const auto& [name, tensor] : parameters)
    if (std::ranges::find(kept, tensor.data_ptr()) != kept.end()) frozen_.push_back(name);
  for (std::size_t i = 0; i < statistics.size(); ++i) {
    if (!frozen.statistics[i]) continue;
    frozen_.push_back(statistics[i].name);
    frozen_layers_.push_back(statistics[i].name);
  }
}

void ScriptModule::want_gradients(bool wanted) {
  for (Fixed& fixed : fixed_)
    if (fixed.is_frozen) fixed.own.set_requires_grad(wanted);
}

void ScriptModule::train(bool normalizing) {
  module_.train(normalizing);
  if (!normalizing) return;
  for (const std::string& statistic : frozen_layers_) {
    ::torch::jit::Module layer = submodule(module_, path_to(statistic));
    if (layer.hasattr("training")) layer.setattr("training", false);
  }
}

void ScriptModule::take(const std::string& name, at::Tensor tensor, bool is_parameter,
                        const std::string& what) {
  if (tensor.numel() > 0) {
    const auto first = std::ranges::find_if(taken_, [&](const auto& other) {
      return other.second.data_ptr() == tensor.data_ptr() &&
             other.second.sizes() == tensor.sizes() &&
             other.second.scalar_type() == tensor.scalar_type();
    });
    if (first != taken_.end()) {
      // As one tensor, so that the gradients of both add up.
      aliases_.push_back({name, first->first});
      set_tensor(module_, name, first->second);
      return;
    }
  }
  if (!tensor.is_non_overlapping_and_dense()) {
    tensor = tensor.detach().contiguous().clone().set_requires_grad(tensor.requires_grad());
    set_tensor(module_, name, tensor);
  }
  const bool is_float = tensor.scalar_type() == at::kFloat && tensor.numel() > 0;
  if (std::ranges::find(frozen_, name) != frozen_.end()) {
    fixed_.push_back(
        {name, tensor, tensor.detach().contiguous().clone(), is_parameter, is_parameter});
  } else if (is_parameter && tensor.requires_grad() && tensor.numel() > 0) {
    if (!is_float)
      fail(Code::invalid_argument, "{}: the parameter '{}' is {}; export a model of float32", what,
           name, c10::toString(tensor.scalar_type()));
    weights_.push_back(tensor);
    learned_.push_back({name, shape_of(tensor)});
  } else if (!is_parameter && is_float) {
    buffers_.push_back(tensor);
    statistics_.push_back({name, shape_of(tensor)});
  } else {
    fixed_.push_back({name, tensor, tensor.detach().contiguous().clone(), is_parameter});
  }
  taken_.emplace_back(name, tensor);
}

void ScriptModule::initial(std::span<float> parameters) const {
  std::vector<at::Tensor> to = vectors_->learned(parameters);
  const std::vector<at::Tensor> statistics = vectors_->statistics(parameters);
  to.insert(to.end(), statistics.begin(), statistics.end());
  for (std::size_t i = 0; i < to.size(); ++i) to[i].copy_(initial_[i]);
}

void ScriptModule::put(std::span<const float> parameters) {
  const at::NoGradGuard no_gradients;
  const std::vector<at::Tensor> weights = vectors_->learned(writable(parameters));
  const std::vector<at::Tensor> statistics = vectors_->statistics(writable(parameters));
  for (std::size_t i = 0; i < weights.size(); ++i) weights_[i].copy_(weights[i]);
  for (std::size_t i = 0; i < statistics.size(); ++i) buffers_[i].copy_(statistics[i]);
  // Counters of batches would depend on where a run was interrupted. Parameters do not change.
  for (Fixed& fixed : fixed_)
    if (!fixed.is_parameter) fixed.own.copy_(fixed.value);
}

std::vector<tensor::Tensor> ScriptModule::further_tensors(std::span<const float> parameters) const {
  std::vector<tensor::Tensor> out;
  for (const Fixed& fixed : fixed_)
    if (const std::optional<Dtype> dtype = dtype_of(fixed.value))
      out.push_back(
          {fixed.name,
           *dtype,
           shape_of(fixed.value),
           {static_cast<const std::byte*>(fixed.value.data_ptr()), fixed.value.nbytes()}});
  // Views of the parameters, under their names.
  std::map<std::string, tensor::Tensor> learned;
  std::size_t at = 0;
  for (const auto* pieces : {&learned_, &statistics_})
    for (const Piece& piece : *pieces) {
      const std::size_t size = model::elements(piece);
      learned[piece.name] = {piece.name, Dtype::f32, piece.shape,
                             std::as_bytes(parameters.subspan(at, size))};
      at += size;
    }
  for (const Alias& alias : aliases_) {
    std::optional<tensor::Tensor> again;
    if (const auto found = learned.find(alias.first); found != learned.end()) again = found->second;
    for (const tensor::Tensor& fixed : out)
      if (fixed.name == alias.first) again = fixed;
    if (!again) continue;
    again->name = alias.name;
    out.push_back(*again);
  }
  return out;
}

void ScriptModule::restore(const tensor::SafetensorsFile& file) {
  const at::NoGradGuard no_gradients;
  for (Fixed& fixed : fixed_) {
    const std::optional<Dtype> dtype = dtype_of(fixed.value);
    const tensor::Tensor* const stored = dtype ? file.find(fixed.name) : nullptr;
    if (stored == nullptr) continue;  // the module's file has it
    if (stored->dtype != *dtype || stored->shape != shape_of(fixed.value))
      fail(Code::data_corrupt, "{}: the tensor '{}' is not of the model's type and shape",
           file.what(), fixed.name);
    std::ranges::copy(stored->bytes, static_cast<std::byte*>(fixed.value.data_ptr()));
    fixed.own.copy_(fixed.value);
  }
}

Buffer ScriptModule::to_file(std::span<const float> parameters) {
  put(parameters);
  for (at::Tensor& weight : weights_) weight.mutable_grad().reset();
  module_.eval();
  want_gradients(true);
  Buffer file(as_bytes(file_of(module_)));
  want_gradients(false);
  return file;
}

Buffer ScriptModule::to_empty_file() const {
  const ::torch::jit::Module empty = module_.clone();
  std::map<std::string, at::Tensor> replaced;
  const auto wants_gradients = [&](const std::string& name, const at::Tensor& tensor) {
    const auto fixed = std::ranges::find(fixed_, name, &Fixed::name);
    return tensor.requires_grad() || (fixed != fixed_.end() && fixed->is_frozen);
  };
  const auto replace = [&](const std::string& name, const at::Tensor& by) {
    set_tensor(empty, name, by);
    replaced[name] = by;
  };
  for (const auto& [name, tensor] : taken_) {
    if (!dtype_of(tensor) || tensor.numel() == 0) continue;
    const std::vector<std::int64_t> one(static_cast<std::size_t>(tensor.dim()), 1);
    at::Tensor by = at::zeros(one, tensor.options()).expand(tensor.sizes());
    replace(name, at::isFloatingType(tensor.scalar_type())
                      ? by.detach().set_requires_grad(wants_gradients(name, tensor))
                      : by);
  }
  for (const Alias& alias : aliases_)
    if (const auto first = replaced.find(alias.first); first != replaced.end())
      set_tensor(empty, alias.name, first->second);
  return Buffer(as_bytes(file_of(empty)));
}

}  // namespace lambdaml::torch_library
