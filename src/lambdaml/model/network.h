#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lambdaml/model/model.h"

/// Descriptions of neural networks for images, independent of the library that runs them.
namespace lambdaml::model {

/// The size of something that consists of channels of pixels.
struct Image {
  std::size_t channels = 0;
  std::size_t height = 0;
  std::size_t width = 0;

  std::size_t values() const { return channels * height * width; }
  bool operator==(const Image&) const = default;
};

/// One operation; `input` is the index of the layer whose result it uses, kImages for the images
/// themselves.
struct Layer {
  enum class Kind { convolution, batch_norm, relu, add, max_pool, mean, linear };
  static constexpr std::size_t kImages = static_cast<std::size_t>(-1);

  Kind kind = Kind::relu;
  std::string name = {};  ///< of its parameters, before `.weight`
  std::size_t input = kImages;
  std::size_t other = kImages;  ///< add: the second input
  std::size_t channels_in = 0;
  std::size_t channels_out = 0;
  /// Convolution and max_pool: square, padded by (kernel − 1) / 2; without bias.
  std::size_t kernel = 1;
  std::size_t stride = 1;
  std::size_t groups = 1;
  std::size_t height = 0;  ///< of its result in pixels; 1 after mean and linear
  std::size_t width = 0;

  Image out() const { return {channels_out, height, width}; }
};

/// Layers in the order in which they run; the last one gives the logits. Each method appends a
/// layer and returns its index.
class Network {
 public:
  /// For images of this size.
  explicit Network(const Image& images) : images_(images) {}

  std::size_t convolution(std::string name, std::size_t input, std::size_t channels_out,
                          std::size_t kernel, std::size_t stride = 1, std::size_t groups = 1);
  std::size_t batch_norm(std::string name, std::size_t input);
  std::size_t relu(std::size_t input);
  std::size_t add(std::size_t input, std::size_t other);
  /// The largest of 3 × 3 pixels at every second pixel.
  std::size_t max_pool(std::size_t input);
  /// Averages all pixels of each channel.
  std::size_t mean(std::size_t input);
  std::size_t linear(std::string name, std::size_t input, std::size_t outputs);

  const std::vector<Layer>& layers() const { return layers_; }
  /// The size of the images, and of a layer's result.
  const Image& images() const { return images_; }
  Image out(std::size_t layer) const;

  /// The tensors of its parameters under PyTorch's names: first all learned ones, in the order of
  /// the layers, then the running means and variances of batch normalization.
  std::vector<Model::Piece> learned() const;
  std::vector<Model::Piece> statistics() const;
  /// Floats per image kept for the backward pass.
  std::uint64_t activations() const;

 private:
  std::size_t append(Layer layer);

  Image images_;
  std::vector<Layer> layers_;
};

std::size_t elements(const Model::Piece& piece);
std::size_t elements(const std::vector<Model::Piece>& pieces);

}  // namespace lambdaml::model
