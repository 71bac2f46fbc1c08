#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "lambdaml/model/frozen.h"
#include "lambdaml/model/network.h"
#include "lambdaml/torch/convolution.h"

/// A network as the fused engine runs it: convolutions whose outputs are stored as they are, and
/// activations, most of which are never stored.
namespace lambdaml::torch_library {

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

/// A convolution with the batch normalization of its output.
struct Node {
  ConvolutionShape shape;
  std::size_t source = kNone;  ///< the activation that it convolves; kNone: the images
  // The first of its numbers in the flat vector of parameters.
  std::size_t weights = 0;
  std::size_t gamma = 0;
  std::size_t beta = 0;
  std::size_t mean = 0;
  std::size_t variance = 0;
  // What stays as it is.
  bool frozen_weights = false;
  bool frozen_norm = false;  ///< both gamma and beta: the statistics are those of the parameters
  bool is_learned = true;    ///< something of it
  bool passes_on = false;    ///< its gradient is wanted by what it convolves

  std::size_t channels() const { return shape.channels_out; }
  std::size_t pixels() const { return shape.out_height() * shape.out_width(); }
};

/// relu(bn(node) [+ bn(other) | + activation `plain`]), or the max pooling of activation `pooled`.
struct Activation {
  std::size_t node = kNone;
  std::size_t other = kNone;
  std::size_t plain = kNone;
  std::size_t pooled = kNone;
  std::size_t channels = 0;
  std::size_t height = 0;
  std::size_t width = 0;
  std::size_t consumers = 0;
  /// Whether it is kept in memory. The others, of one node and with one consumer, are computed anew
  /// from the node's output whenever they are needed.
  bool stored = false;

  std::size_t pixels() const { return height * width; }
};

/// What to do next: run a node, or store an activation.
struct Step {
  std::size_t node = kNone;
  std::size_t activation = kNone;
};

struct FusedPlan {
  std::vector<Node> nodes;
  std::vector<Activation> activations;
  std::vector<Step> steps;
  std::size_t first_learned = 0;  ///< the first step of a node with something to learn, or the end
  std::size_t head = kNone;       ///< the activation whose mean is the input of the linear layer
  std::size_t classes = 0;
  std::size_t linear_weights = 0;
  std::size_t linear_bias = 0;
};

/// `frozen`: of that network. Nothing if the network has another structure than the one that these
/// types describe, or numbers of channels that are no multiples of 16.
std::optional<FusedPlan> plan_of(const model::Network& network, const model::Frozen& frozen);

}  // namespace lambdaml::torch_library
