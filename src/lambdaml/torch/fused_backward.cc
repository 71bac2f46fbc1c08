#include <algorithm>
#include <cstring>
#include <utility>

#include "lambdaml/torch/fused_pass.h"

/// The backward half of FusedPass. For the output y of a convolution, dz the gradient of its
/// normalized and scaled form, x̂ = (y − mean) / σ, and m rows, batch normalization's gradient is
///   dβ = Σ dz, dγ = Σ dz · x̂, dy = γ / σ · (dz − dβ / m − x̂ · dγ / m),
/// of the form a · dz + b · y + c, where b and c are 0 if the statistics are not those of the
/// batch. With a batch in parts on several workers, m, and dβ and dγ in dy, are those of all parts;
/// each worker adds only its own to the gradient, which is merged later.
namespace lambdaml::torch_library {

template <class T>
void FusedPass<T>::add_gradient_sums(std::size_t index, Lane& lane, std::size_t first,
                                     std::size_t images) const {
  const Activation& activation = plan_.activations[index];
  const std::size_t rows = images * activation.pixels();
  const std::size_t begin = first * values(activation);
  const T* const gradient = at(gradients_[index], begin);
  if (!activation.stored) {
    const Norm& norm = norms_[activation.node];
    ops_.gradient_sums(rows, activation.channels, gradient, at(outputs_[activation.node], begin),
                       norm.affine(), norm.mean.data(), lane.sums.data());
    return;
  }
  ops_.plain_gradient_sums(rows, activation.channels, gradient,
                           at(outputs_[activation.node], begin),
                           norms_[activation.node].mean.data(), lane.sums.data());
  if (activation.other != kNone)
    ops_.plain_gradient_sums(rows, activation.channels, gradient,
                             at(outputs_[activation.other], begin),
                             norms_[activation.other].mean.data(), lane.other_sums.data());
}

/// Adds up those of the lanes, in the first one.
template <class T>
void FusedPass<T>::take_gradient_sums(std::size_t index, LaneSums of) {
  const Node& node = plan_.nodes[index];
  const std::size_t channels = node.channels();
  const Norm& norm = norms_[index];
  std::vector<double>& total = lanes_.front().*of;
  for (std::size_t lane = 1; lane < lanes_.size(); ++lane)
    for (std::size_t i = 0; i < 2 * channels; ++i) total[i] += (lanes_[lane].*of)[i];
  for (std::size_t c = 0; c < channels; ++c) {
    sums_[node.beta + c] += static_cast<float>(total[c]);
    sums_[node.gamma + c] += static_cast<float>(total[channels + c] * norm.inverse[c]);
  }
}

template <class T>
void FusedPass<T>::merge_gradient_sums(const Activation& activation) {
  std::vector<std::vector<double>*> parts;
  for (const auto& [node, of] : {std::pair<std::size_t, LaneSums>{activation.node, &Lane::sums},
                                 {activation.other, &Lane::other_sums}})
    if (node != kNone && by_batch(plan_.nodes[node])) parts.push_back(&(lanes_.front().*of));
  if (parts.empty()) return;
  const std::size_t size = 2 * activation.channels;
  std::vector<double> sums;
  for (const std::vector<double>* part : parts)
    sums.insert(sums.end(), part->begin(), part->begin() + static_cast<std::ptrdiff_t>(size));
  (*merge_)(sums);
  auto from = sums.begin();
  for (std::vector<double>* part : parts) {
    std::copy_n(from, size, part->begin());
    from += static_cast<std::ptrdiff_t>(size);
  }
}

template <class T>
void FusedPass<T>::set_gradient(std::size_t index, LaneSums of) {
  const Node& node = plan_.nodes[index];
  Norm& norm = norms_[index];
  const std::size_t channels = node.channels();
  const std::vector<double>& total = lanes_.front().*of;
  for (std::size_t c = 0; c < channels; ++c) {
    norm.a[c] = norm.scale[c];
    norm.b[c] = norm.c[c] = 0;
    if (!by_batch(node)) continue;
    const double scale = norm.scale[c];
    const double inverse = norm.inverse[c];
    const double b = -scale * inverse * inverse * total[channels + c] / norm.rows;
    norm.b[c] = static_cast<float>(b);
    norm.c[c] = static_cast<float>(-scale * total[c] / norm.rows - b * norm.mean[c]);
  }
}

/// From the sums that the lanes have taken of this activation.
template <class T>
void FusedPass<T>::finish_activation(std::size_t index) {
  const Activation& activation = plan_.activations[index];
  const bool two = activation.other != kNone;
  take_gradient_sums(activation.node, &Lane::sums);
  if (two) take_gradient_sums(activation.other, &Lane::other_sums);
  if (merge_ != nullptr) merge_gradient_sums(activation);
  set_gradient(activation.node, &Lane::sums);
  if (two) set_gradient(activation.other, &Lane::other_sums);
}

template <class T>
void FusedPass<T>::begin_sums(std::size_t channels) {
  for (Lane& lane : lanes_) {
    lane.sums.assign(2 * channels, 0);
    lane.other_sums.assign(2 * channels, 0);
  }
}

template <class T>
void FusedPass<T>::take_depthwise(const Node& node) {
  const std::size_t channels = node.channels();
  for (Lane& lane : lanes_)
    for (std::size_t tap = 0; tap < 9; ++tap)
      for (std::size_t c = 0; c < channels; ++c)
        sums_[node.weights + 9 * c + tap] += lane.depthwise[tap * channels + c];
}

template <class T>
void FusedPass<T>::back_node(std::size_t index) {
  const Node& node = plan_.nodes[index];
  const ConvolutionShape& shape = node.shape;
  const Norm& norm = norms_[index];
  Convolution& convolution = convolutions_[index];
  const std::size_t owner = owner_[index];
  const bool masked = plan_.activations[owner].stored;
  const bool has_source = node.passes_on;
  const bool adds = has_source && gradients_[node.source].defined();
  const bool completes = has_source && !plan_.activations[node.source].stored;
  if (has_source && !adds) gradients_[node.source] = make(shape.values_in());
  if (completes) begin_sums(shape.channels_in);
  if (shape.depthwise() && !node.frozen_weights)
    for (Lane& lane : lanes_) std::fill(lane.depthwise.begin(), lane.depthwise.end(), 0.0F);
  for_chunks(convolution.chunk(true), [&](Lane& lane, std::size_t first, std::size_t images) {
    const std::size_t out = first * shape.values_out();
    const T* const dz = at(gradients_[owner], out);
    const T* const y = at(outputs_[index], out);
    T* const dy = at(lane.gradient, 0);
    const std::size_t rows = images * node.pixels();
    if (masked)
      ops_.plain_normalize_backward(rows, node.channels(), dz, y, norm.a.data(), norm.b.data(),
                                    norm.c.data(), dy);
    else
      ops_.normalize_backward(rows, node.channels(), dz, y, norm.affine(), norm.a.data(),
                              norm.b.data(), norm.c.data(), dy);
    const T* const x = node.frozen_weights ? nullptr : input_of(node, lane, first, images);
    if (x != nullptr && shape.depthwise())
      ops_.depthwise_weights(window_of(shape, images), x, dy, lane.depthwise.data());
    T* const dx = has_source ? at(gradients_[node.source], first * shape.values_in()) : nullptr;
    convolution.backward(images, shape.depthwise() ? nullptr : x, dy, adds ? at(lane.added, 0) : dx,
                         lane.workspace);
    if (!has_source) return;
    if (adds) ops_.add(images * shape.values_in(), at(lane.added, 0), dx);
    if (completes) add_gradient_sums(node.source, lane, first, images);
  });
  if (node.frozen_weights) {
    // Nothing was added up.
  } else if (shape.depthwise()) {
    take_depthwise(node);
  } else if (count_ > 0) {
    std::vector<Workspace*> workspaces;
    for (Lane& lane : lanes_) workspaces.push_back(&lane.workspace);
    convolution.take_sums(workspaces, sums_.data() + node.weights, lanes_.size());
  }
  if (completes) finish_activation(node.source);
  outputs_[index].reset();
  // The gradient of a sum is needed by both of its nodes.
  const Activation& of = plan_.activations[owner];
  if (of.other == kNone || index == std::min(of.node, of.other)) gradients_[owner].reset();
}

template <class T>
void FusedPass<T>::back_activation(std::size_t index) {
  const Activation& activation = plan_.activations[index];
  if (activation.pooled != kNone) {
    const std::size_t source = activation.pooled;
    const Activation& from = plan_.activations[source];
    const bool fresh = !gradients_[source].defined();
    if (fresh) gradients_[source] = make(values(from));
    begin_sums(from.channels);
    for_chunks(chunk_of(from), [&](Lane& lane, std::size_t first, std::size_t images) {
      T* const to = at(gradients_[source], first * values(from));
      if (fresh) std::memset(to, 0, images * values(from) * sizeof(T));
      const Window window = {
          images, from.channels, from.height, from.width, activation.height, activation.width, 2};
      const std::size_t begin = first * values(activation);
      ops_.max_pool_backward(window, activation_chunk(source, lane, first, images),
                             at(stored_[index], begin), at(gradients_[index], begin), to);
      if (!from.stored) add_gradient_sums(source, lane, first, images);
    });
    if (!from.stored) finish_activation(source);
    gradients_[index].reset();
    stored_[index].reset();
    return;
  }
  begin_sums(activation.channels);
  const bool shared = activation.plain != kNone && !gradients_[activation.plain].defined();
  for_chunks(chunk_of(activation), [&](Lane& lane, std::size_t first, std::size_t images) {
    const std::size_t begin = first * values(activation);
    const std::size_t count = images * values(activation);
    T* const gradient = at(gradients_[index], begin);
    ops_.mask(count, at(stored_[index], begin), gradient);
    if (activation.plain != kNone && !shared)
      ops_.add(count, gradient, at(gradients_[activation.plain], begin));
    add_gradient_sums(index, lane, first, images);
  });
  if (shared) gradients_[activation.plain] = gradients_[index];
  finish_activation(index);
  stored_[index].reset();
}

template <class T>
void FusedPass<T>::backward(const at::Tensor& gradient, std::span<float> sums) {
  sums_ = sums;
  const std::size_t head_index = plan_.head;
  const Activation& head = plan_.activations[head_index];
  const float* const from = gradient.data_ptr<float>();
  gradients_[head_index] = make(values(head));
  begin_sums(head.channels);
  for_chunks(chunk_of(head), [&](Lane& lane, std::size_t first, std::size_t images) {
    ops_.mean_backward(images, head.pixels(), head.channels, from + first * head.channels,
                       at(gradients_[head_index], first * values(head)));
    if (!head.stored) add_gradient_sums(head_index, lane, first, images);
  });
  if (!head.stored) finish_activation(head_index);
  for (std::size_t step = plan_.steps.size(); step-- > plan_.first_learned;) {
    if (plan_.steps[step].node != kNone)
      back_node(plan_.steps[step].node);
    else
      back_activation(plan_.steps[step].activation);
  }
  for (std::vector<at::Tensor>* left : {&outputs_, &stored_, &gradients_})
    for (at::Tensor& tensor : *left) tensor.reset();
  if (normalizing_ != Normalizing::by_batch) return;
  constexpr double kMomentum = 0.1;  // PyTorch's default
  const double weight = kMomentum * static_cast<double>(count_);
  const auto change = [&](std::size_t at, float batch) {
    const double apart = static_cast<double>(batch) - static_cast<double>(parameters_[at]);
    sums_[at] += static_cast<float>(weight * apart);
  };
  for (std::size_t i = 0; i < plan_.nodes.size(); ++i)
    for (std::size_t c = 0; by_batch(plan_.nodes[i]) && c < plan_.nodes[i].channels(); ++c) {
      change(plan_.nodes[i].mean + c, norms_[i].mean[c]);
      change(plan_.nodes[i].variance + c, norms_[i].variance[c]);
    }
}

template class FusedPass<float>;
template class FusedPass<Bf16>;

}  // namespace lambdaml::torch_library
