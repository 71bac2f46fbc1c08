#include "lambdaml/torch/fused_pass.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <ATen/Functions.h>

#include "lambdaml/base/parallel.h"

namespace lambdaml::torch_library {
namespace {

constexpr double kEpsilon = 1e-5;  // PyTorch's default

template <class T>
const ChannelOps<T>& ops_of();
template <>
const ChannelOps<float>& ops_of<float>() {
  return channel_kernels().wide;
}
template <>
const ChannelOps<Bf16>& ops_of<Bf16>() {
  return channel_kernels().narrow;
}

float widen(float value) { return value; }
float widen(Bf16 value) {
  const std::uint32_t bits = std::uint32_t{value} << 16;
  float out = 0;
  std::memcpy(&out, &bits, sizeof out);
  return out;
}

at::Tensor bytes(std::size_t count) {
  return at::empty({static_cast<std::int64_t>(count)}, at::kByte);
}

}  // namespace

template <class T>
FusedPass<T>::FusedPass(const FusedPlan& plan, std::size_t threads)
    : plan_(plan),
      ops_(ops_of<T>()),
      lanes_(threads),
      owner_(plan.nodes.size(), kNone),
      last_node_(plan.nodes.size(), kNone),
      last_activation_(plan.activations.size(), kNone),
      norms_(plan.nodes.size()),
      outputs_(plan.nodes.size()),
      stored_(plan.activations.size()),
      gradients_(plan.activations.size()) {
  std::size_t input = 0;
  std::size_t output = 0;
  std::size_t channels = 0;
  for (const Node& node : plan.nodes) {
    const Convolution& made = convolutions_.emplace_back(node.shape, sizeof(T) == 2);
    input = std::max(input, std::max(made.chunk(true), made.chunk(false)) * node.shape.values_in());
    output =
        std::max(output, std::max(made.chunk(true), made.chunk(false)) * node.shape.values_out());
    channels = std::max(channels, node.channels());
  }
  for (std::size_t a = 0; a < plan.activations.size(); ++a) {
    const Activation& activation = plan.activations[a];
    input = std::max(input, chunk_of(activation) * values(activation));
    for (const std::size_t node : {activation.node, activation.other})
      if (node != kNone) owner_[node] = a;
  }
  for (Lane& lane : lanes_) {
    lane.input = bytes(input * sizeof(T));
    lane.gradient = bytes(output * sizeof(T));
    lane.added = bytes(input * sizeof(T));
    lane.depthwise.resize(9 * channels);
  }
  const auto uses = [&](std::size_t activation, std::size_t step) {
    if (activation == kNone) return;
    if (plan.activations[activation].stored)
      last_activation_[activation] = step;
    else
      last_node_[plan.activations[activation].node] = step;
  };
  for (std::size_t step = 0; step < plan.steps.size(); ++step) {
    if (plan.steps[step].node != kNone) {
      uses(plan.nodes[plan.steps[step].node].source, step);
      continue;
    }
    const Activation& made = plan.activations[plan.steps[step].activation];
    uses(made.plain, step);
    uses(made.pooled, step);
    for (const std::size_t node : {made.node, made.other})
      if (node != kNone) last_node_[node] = step;
  }
}

template <class T>
std::size_t FusedPass<T>::chunk_of(const Activation& activation) const {
  constexpr std::size_t kBytes = std::size_t{256} << 10;
  return std::max<std::size_t>(1, kBytes / (values(activation) * sizeof(T)));
}

template <class T>
at::Tensor FusedPass<T>::make(std::size_t values_per_image) const {
  return bytes(values_per_image * count_ * sizeof(T));
}

template <class T>
void FusedPass<T>::for_chunks(std::size_t chunk, const Body& body) {
  parallel_for(lanes_.size(), lanes_.size(), [&](std::size_t index) {
    const LibraryThreads one(1);
    const Range range = share(index);
    for (std::size_t first = range.begin; first < range.end; first += chunk)
      body(lanes_[index], first, std::min(chunk, range.end - first));
  });
}

template <class T>
void FusedPass<T>::prepare() {
  for (std::size_t i = 0; i < convolutions_.size(); ++i) {
    Convolution& convolution = convolutions_[i];
    const std::size_t chunk = convolution.chunk(trains());
    std::vector<std::size_t> counts;
    const auto count = [&](std::size_t images) {
      if (images > 0 && std::find(counts.begin(), counts.end(), images) == counts.end())
        counts.push_back(images);
    };
    for (std::size_t lane = 0; lane < lanes_.size(); ++lane) {
      const Range range = share(lane);
      if (range.end - range.begin >= chunk) count(chunk);
      count((range.end - range.begin) % chunk);
    }
    convolution.prepare(parameters_.data() + plan_.nodes[i].weights, counts, trains(),
                        lanes_.size());
  }
}

template <class T>
const T* FusedPass<T>::activation_chunk(std::size_t index, Lane& lane, std::size_t first,
                                        std::size_t images) const {
  const Activation& activation = plan_.activations[index];
  const std::size_t begin = first * values(activation);
  if (activation.stored) return at(stored_[index], begin);
  ops_.normalize(images * activation.pixels(), activation.channels,
                 at(outputs_[activation.node], begin), norms_[activation.node].affine(),
                 at(lane.input, 0));
  return at(lane.input, 0);
}

template <class T>
const T* FusedPass<T>::input_of(const Node& node, Lane& lane, std::size_t first,
                                std::size_t images) const {
  if (node.source != kNone) return activation_chunk(node.source, lane, first, images);
  const std::size_t values = node.shape.values_in();
  const float* const from = images_.data() + first * values;
  if constexpr (std::is_same_v<T, float>) {
    return from;
  } else {
    ops_.from_float(images * values, from, at(lane.input, 0));
    return at(lane.input, 0);
  }
}

/// The moments of a chunk about its first row, then those of all chunks of the lane by the formulas
/// of Chan, Golub and LeVeque (1979), which lose no digits.
template <class T>
void FusedPass<T>::add_moments(const Node& node, Lane& lane, std::size_t rows, const T* y) const {
  const std::size_t channels = node.channels();
  std::fill_n(lane.sums.begin(), 2 * channels, 0.0);
  ops_.moments(rows, channels, y, lane.sums.data());
  const auto n = static_cast<double>(rows);
  const double all = lane.count + n;
  for (std::size_t c = 0; c < channels; ++c) {
    const double mean = lane.sums[c] / n;
    const double squares = lane.sums[channels + c] - lane.sums[c] * mean;
    const double apart = mean + widen(y[c]) - lane.mean[c];
    lane.mean[c] += apart * n / all;
    lane.squares[c] += squares + apart * apart * lane.count * n / all;
  }
  lane.count = all;
}

/// As sums about the running means, which are the same on all workers: those add up.
template <class T>
void FusedPass<T>::merge_moments(const Node& node, Lane& total) const {
  const std::size_t channels = node.channels();
  const float* const about = parameters_.data() + node.mean;
  std::vector<double> sums(2 * channels + 1);
  for (std::size_t c = 0; c < channels; ++c) {
    const double apart = total.mean[c] - about[c];
    sums[c] = total.count * apart;
    sums[channels + c] = total.squares[c] + total.count * apart * apart;
  }
  sums.back() = total.count;
  (*merge_)(sums);
  total.count = sums.back();
  for (std::size_t c = 0; c < channels; ++c) {
    const double apart = sums[c] / std::max(total.count, 1.0);
    total.mean[c] = about[c] + apart;
    total.squares[c] = std::max(sums[channels + c] - sums[c] * apart, 0.0);
  }
}

template <class T>
void FusedPass<T>::finish_moments(std::size_t index) {
  const std::size_t channels = plan_.nodes[index].channels();
  Lane& total = lanes_.front();
  for (std::size_t lane = 1; lane < lanes_.size(); ++lane) {
    const Lane& other = lanes_[lane];
    if (other.count == 0) continue;
    const double all = total.count + other.count;
    for (std::size_t c = 0; c < channels; ++c) {
      const double apart = other.mean[c] - total.mean[c];
      total.mean[c] += apart * other.count / all;
      total.squares[c] += other.squares[c] + apart * apart * total.count * other.count / all;
    }
    total.count = all;
  }
  if (merge_ != nullptr) merge_moments(plan_.nodes[index], total);
  Norm& norm = norms_[index];
  norm.rows = std::max(total.count, 1.0);
  for (std::size_t c = 0; c < channels; ++c) {
    const double variance = total.squares[c] / norm.rows;
    norm.mean[c] = static_cast<float>(total.mean[c]);
    norm.variance[c] = static_cast<float>(variance * norm.rows / std::max(norm.rows - 1, 1.0));
    norm.inverse[c] = static_cast<float>(1 / std::sqrt(variance + kEpsilon));
  }
}

template <class T>
void FusedPass<T>::set_affine(std::size_t index) {
  const Node& node = plan_.nodes[index];
  Norm& norm = norms_[index];
  for (std::size_t c = 0; c < node.channels(); ++c) {
    norm.scale[c] = parameters_[node.gamma + c] * norm.inverse[c];
    norm.shift[c] = parameters_[node.beta + c] - norm.mean[c] * norm.scale[c];
  }
}

template <class T>
void FusedPass<T>::run_node(std::size_t index) {
  const Node& node = plan_.nodes[index];
  const std::size_t channels = node.channels();
  Norm& norm = norms_[index];
  for (std::vector<float>* numbers : {&norm.scale, &norm.shift, &norm.mean, &norm.inverse,
                                      &norm.variance, &norm.a, &norm.b, &norm.c})
    numbers->resize(channels);
  for (Lane& lane : lanes_) {
    lane.count = 0;
    lane.sums.assign(2 * channels, 0);
    lane.mean.assign(channels, 0);
    lane.squares.assign(channels, 0);
  }
  outputs_[index] = make(node.shape.values_out());
  const Convolution& convolution = convolutions_[index];
  for_chunks(convolution.chunk(trains()), [&](Lane& lane, std::size_t first, std::size_t images) {
    T* const y = at(outputs_[index], first * node.shape.values_out());
    convolution.forward(images, input_of(node, lane, first, images), y, lane.workspace);
    if (by_batch(node)) add_moments(node, lane, images * node.pixels(), y);
  });
  if (by_batch(node)) {
    finish_moments(index);
  } else {
    for (std::size_t c = 0; c < channels; ++c) {
      norm.mean[c] = parameters_[node.mean + c];
      norm.inverse[c] = static_cast<float>(
          1 / std::sqrt(static_cast<double>(parameters_[node.variance + c]) + kEpsilon));
    }
  }
  set_affine(index);
}

template <class T>
Window FusedPass<T>::window_of(const ConvolutionShape& shape, std::size_t images) const {
  return {images,      shape.channels_in,  shape.height,
          shape.width, shape.out_height(), shape.out_width(),
          shape.stride};
}

template <class T>
void FusedPass<T>::store_activation(std::size_t index) {
  const Activation& activation = plan_.activations[index];
  stored_[index] = make(values(activation));
  // What is pooled is larger than the result.
  const std::size_t largest = activation.pooled != kNone ? activation.pooled : index;
  for_chunks(chunk_of(plan_.activations[largest]), [&](Lane& lane, std::size_t first,
                                                       std::size_t images) {
    const std::size_t begin = first * values(activation);
    T* const out = at(stored_[index], begin);
    if (activation.pooled != kNone) {
      const Activation& from = plan_.activations[activation.pooled];
      const Window window = {
          images, from.channels, from.height, from.width, activation.height, activation.width, 2};
      ops_.max_pool(window, activation_chunk(activation.pooled, lane, first, images), out);
      return;
    }
    const bool two = activation.other != kNone;
    ops_.join(images * activation.pixels(), activation.channels,
              at(outputs_[activation.node], begin), norms_[activation.node].affine(),
              two ? at(outputs_[activation.other], begin) : nullptr,
              two ? norms_[activation.other].affine() : Affine{},
              activation.plain != kNone ? at(stored_[activation.plain], begin) : nullptr, out);
  });
}

template <class T>
at::Tensor FusedPass<T>::forward(std::span<const float> images, std::size_t count,
                                 std::span<const float> parameters, Normalizing normalizing,
                                 const model::MergeNumbers* merge) {
  images_ = images;
  count_ = count;
  parameters_ = parameters;
  normalizing_ = normalizing;
  merge_ = merge;
  prepare();
  for (std::size_t step = 0; step < plan_.steps.size(); ++step) {
    if (plan_.steps[step].node != kNone)
      run_node(plan_.steps[step].node);
    else
      store_activation(plan_.steps[step].activation);
    // The backward pass goes no further back than this.
    if (trains() && step >= plan_.first_learned) continue;
    for (std::size_t i = 0; i < outputs_.size(); ++i)
      if (last_node_[i] == step) outputs_[i].reset();
    for (std::size_t i = 0; i < stored_.size(); ++i)
      if (last_activation_[i] == step) stored_[i].reset();
  }
  const Activation& head = plan_.activations[plan_.head];
  const at::Tensor features = at::empty(
      {static_cast<std::int64_t>(count), static_cast<std::int64_t>(head.channels)}, at::kFloat);
  auto* const out = features.data_ptr<float>();
  for_chunks(chunk_of(head), [&](Lane& lane, std::size_t first, std::size_t images) {
    ops_.mean(images, head.pixels(), head.channels,
              activation_chunk(plan_.head, lane, first, images), out + first * head.channels);
  });
  return features;
}

template class FusedPass<float>;
template class FusedPass<Bf16>;

}  // namespace lambdaml::torch_library
