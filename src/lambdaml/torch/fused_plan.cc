#include "lambdaml/torch/fused_plan.h"

#include <algorithm>
#include <utility>

namespace lambdaml::torch_library {
namespace {

using model::Layer;

/// The result of a layer.
struct Result {
  enum class Kind { convolved, normalized, sum, activation, mean, logits };
  Kind kind;
  std::size_t index = kNone;  ///< the node, or the activation
  std::size_t other = kNone;  ///< of a sum: the second node
  std::size_t plain = kNone;  ///< of a sum: the activation
};

class Planner {
 public:
  Planner(const model::Network& network, const model::Frozen& frozen)
      : network_(network), frozen_(frozen) {}

  std::optional<FusedPlan> plan() {
    for (const Layer& layer : network_.layers())
      if (!add(layer)) return std::nullopt;
    const std::size_t learned = model::elements(network_.learned());
    for (Node& node : plan_.nodes) {
      node.mean += learned;
      node.variance += learned;
    }
    place_steps();
    place_gradients();
    if (plan_.classes == 0 || !fits()) return std::nullopt;
    return std::move(plan_);
  }

 private:
  using Kind = Result::Kind;

  const Result* at(std::size_t layer, Kind kind) const {
    if (layer >= results_.size() || results_[layer].kind != kind) return nullptr;
    return &results_[layer];
  }
  std::size_t take(std::size_t count) {
    ++pieces_;
    return std::exchange(parameters_, parameters_ + count);
  }
  /// The piece that was taken last.
  bool is_frozen() const { return frozen_.learned[pieces_ - 1]; }

  bool add(const Layer& layer) {
    switch (layer.kind) {
      case Layer::Kind::convolution:
        return add_convolution(layer);
      case Layer::Kind::batch_norm: {
        const Result* from = at(layer.input, Kind::convolved);
        if (from == nullptr) return false;
        Node& node = plan_.nodes[from->index];
        node.gamma = take(layer.channels_out);
        const bool frozen_scale = is_frozen();
        node.beta = take(layer.channels_out);
        node.frozen_norm = frozen_scale && is_frozen();
        node.is_learned = !node.frozen_weights || !node.frozen_norm;
        node.mean = std::exchange(statistics_, statistics_ + layer.channels_out);
        node.variance = std::exchange(statistics_, statistics_ + layer.channels_out);
        results_.push_back({Kind::normalized, from->index});
        return true;
      }
      case Layer::Kind::add:
        return add_sum(layer);
      case Layer::Kind::relu:
        return add_activation(layer);
      case Layer::Kind::max_pool: {
        const Result* from = at(layer.input, Kind::activation);
        if (from == nullptr) return false;
        ++plan_.activations[from->index].consumers;
        const Activation made{.pooled = from->index,
                              .channels = layer.channels_out,
                              .height = layer.height,
                              .width = layer.width};
        results_.push_back({Kind::activation, plan_.activations.size()});
        plan_.activations.push_back(made);
        return true;
      }
      case Layer::Kind::mean: {
        const Result* from = at(layer.input, Kind::activation);
        if (from == nullptr) return false;
        ++plan_.activations[from->index].consumers;
        plan_.head = from->index;
        results_.push_back({Kind::mean, from->index});
        return true;
      }
      case Layer::Kind::linear:
        if (at(layer.input, Kind::mean) == nullptr || plan_.classes != 0) return false;
        plan_.classes = layer.channels_out;
        plan_.linear_weights = take(layer.channels_in * layer.channels_out);
        plan_.linear_bias = take(layer.channels_out);
        results_.push_back({Kind::logits});
        return true;
    }
    return false;
  }

  bool add_convolution(const Layer& layer) {
    Node node;
    if (layer.input != Layer::kImages) {
      const Result* from = at(layer.input, Kind::activation);
      if (from == nullptr) return false;
      node.source = from->index;
      ++plan_.activations[from->index].consumers;
    }
    const model::Image in = network_.out(layer.input);
    node.shape = {in.channels,  layer.channels_out, in.height,   in.width,
                  layer.kernel, layer.stride,       layer.groups};
    node.weights = take(node.shape.weights());
    node.frozen_weights = is_frozen();
    results_.push_back({Kind::convolved, plan_.nodes.size()});
    plan_.nodes.push_back(node);
    return true;
  }

  bool add_sum(const Layer& layer) {
    const Result* first = at(layer.input, Kind::normalized);
    if (first == nullptr) return false;
    Result sum{Kind::sum, first->index};
    if (const Result* other = at(layer.other, Kind::normalized)) {
      sum.other = other->index;
    } else if (const Result* plain = at(layer.other, Kind::activation)) {
      sum.plain = plain->index;
      ++plan_.activations[plain->index].consumers;
    } else {
      return false;
    }
    results_.push_back(sum);
    return true;
  }

  bool add_activation(const Layer& layer) {
    const Result* from = at(layer.input, Kind::normalized);
    if (from == nullptr) from = at(layer.input, Kind::sum);
    if (from == nullptr) return false;
    const Node& node = plan_.nodes[from->index];
    Activation made{.node = from->index,
                    .other = from->other,
                    .plain = from->plain,
                    .channels = node.channels(),
                    .height = node.shape.out_height(),
                    .width = node.shape.out_width()};
    results_.push_back({Kind::activation, plan_.activations.size()});
    plan_.activations.push_back(made);
    return true;
  }

  /// In the order of the layers, once it is known which activations are stored.
  void place_steps() {
    for (Activation& activation : plan_.activations)
      activation.stored = activation.other != kNone || activation.plain != kNone ||
                          activation.pooled != kNone || activation.consumers > 1;
    for (const Result& result : results_) {
      if (result.kind == Kind::convolved) plan_.steps.push_back({.node = result.index});
      if (result.kind == Kind::activation && plan_.activations[result.index].stored)
        plan_.steps.push_back({.activation = result.index});
    }
  }

  /// Where the backward pass ends.
  void place_gradients() {
    const auto learns = [&](const Step& step) {
      return step.node != kNone && plan_.nodes[step.node].is_learned;
    };
    const auto first = std::find_if(plan_.steps.begin(), plan_.steps.end(), learns);
    plan_.first_learned = static_cast<std::size_t>(first - plan_.steps.begin());
    for (std::size_t step = plan_.first_learned + 1; step < plan_.steps.size(); ++step)
      if (const std::size_t node = plan_.steps[step].node; node != kNone)
        plan_.nodes[node].passes_on = plan_.nodes[node].source != kNone;
  }

  /// The gradient of a sum is also that of its `plain` part: in the backward pass they share
  /// memory, so the nodes that take the plain part must come before the one that is added to it.
  bool fits() const {
    for (const Node& node : plan_.nodes) {
      if (node.channels() % 16 != 0 || node.gamma == 0) return false;
      if (node.shape.depthwise() &&
          (node.shape.kernel != 3 || node.shape.groups != node.channels() ||
           node.shape.channels_in != node.channels()))
        return false;
    }
    for (const Activation& activation : plan_.activations) {
      if (activation.consumers == 0) return false;
      for (std::size_t i = 0; i < plan_.nodes.size(); ++i)
        if (activation.plain != kNone && plan_.nodes[i].source == activation.plain &&
            i >= activation.node)
          return false;
    }
    return true;
  }

  const model::Network& network_;
  const model::Frozen& frozen_;
  FusedPlan plan_;
  std::size_t pieces_ = 0;
  std::vector<Result> results_;
  std::size_t parameters_ = 0;
  std::size_t statistics_ = 0;
};

}  // namespace

std::optional<FusedPlan> plan_of(const model::Network& network, const model::Frozen& frozen) {
  return Planner(network, frozen).plan();
}

}  // namespace lambdaml::torch_library
