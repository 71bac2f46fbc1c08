#include "lambdaml/model/network.h"

#include <functional>
#include <numeric>
#include <utility>

namespace lambdaml::model {

Image Network::out(std::size_t layer) const {
  return layer == Layer::kImages ? images_ : layers_[layer].out();
}

std::size_t Network::append(Layer layer) {
  const Image in = out(layer.input);
  layer.channels_in = in.channels;
  if (layer.channels_out == 0) layer.channels_out = in.channels;
  if (layer.height == 0) {
    layer.height = (in.height - 1) / layer.stride + 1;
    layer.width = (in.width - 1) / layer.stride + 1;
  }
  layers_.push_back(std::move(layer));
  return layers_.size() - 1;
}

std::size_t Network::convolution(std::string name, std::size_t input, std::size_t channels_out,
                                 std::size_t kernel, std::size_t stride, std::size_t groups) {
  return append({.kind = Layer::Kind::convolution,
                 .name = std::move(name),
                 .input = input,
                 .channels_out = channels_out,
                 .kernel = kernel,
                 .stride = stride,
                 .groups = groups});
}

std::size_t Network::batch_norm(std::string name, std::size_t input) {
  return append({.kind = Layer::Kind::batch_norm, .name = std::move(name), .input = input});
}

std::size_t Network::relu(std::size_t input) {
  return append({.kind = Layer::Kind::relu, .input = input});
}

std::size_t Network::add(std::size_t input, std::size_t other) {
  return append({.kind = Layer::Kind::add, .input = input, .other = other});
}

std::size_t Network::max_pool(std::size_t input) {
  return append({.kind = Layer::Kind::max_pool, .input = input, .kernel = 3, .stride = 2});
}

std::size_t Network::mean(std::size_t input) {
  return append({.kind = Layer::Kind::mean, .input = input, .height = 1, .width = 1});
}

std::size_t Network::linear(std::string name, std::size_t input, std::size_t outputs) {
  return append({.kind = Layer::Kind::linear,
                 .name = std::move(name),
                 .input = input,
                 .channels_out = outputs,
                 .height = 1,
                 .width = 1});
}

std::vector<Model::Piece> Network::learned() const {
  std::vector<Model::Piece> pieces;
  for (const Layer& layer : layers_) {
    if (layer.kind == Layer::Kind::convolution)
      pieces.push_back(
          {layer.name + ".weight",
           {layer.channels_out, layer.channels_in / layer.groups, layer.kernel, layer.kernel}});
    if (layer.kind == Layer::Kind::linear)
      pieces.push_back({layer.name + ".weight", {layer.channels_out, layer.channels_in}});
    if (layer.kind == Layer::Kind::batch_norm)
      pieces.push_back({layer.name + ".weight", {layer.channels_out}});
    if (layer.kind == Layer::Kind::batch_norm || layer.kind == Layer::Kind::linear)
      pieces.push_back({layer.name + ".bias", {layer.channels_out}});
  }
  return pieces;
}

std::vector<Model::Piece> Network::statistics() const {
  std::vector<Model::Piece> pieces;
  for (const Layer& layer : layers_) {
    if (layer.kind != Layer::Kind::batch_norm) continue;
    pieces.push_back({layer.name + ".running_mean", {layer.channels_out}});
    pieces.push_back({layer.name + ".running_var", {layer.channels_out}});
  }
  return pieces;
}

std::uint64_t Network::activations() const {
  std::uint64_t sum = images_.values();
  for (const Layer& layer : layers_)
    if (layer.kind != Layer::Kind::relu) {  // done in place
      // The output of a depthwise convolution is kept twice, in the layout of its kernels.
      // Measured.
      const std::uint64_t times = layer.groups > 1 ? 2 : 1;
      sum += times * layer.out().values();
    }
  return sum;
}

std::size_t elements(const Model::Piece& piece) {
  return std::accumulate(piece.shape.begin(), piece.shape.end(), std::size_t{1},
                         std::multiplies<>());
}

std::size_t elements(const std::vector<Model::Piece>& pieces) {
  std::size_t sum = 0;
  for (const Model::Piece& piece : pieces) sum += elements(piece);
  return sum;
}

}  // namespace lambdaml::model
