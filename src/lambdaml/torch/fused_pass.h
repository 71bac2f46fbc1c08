#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include "lambdaml/model/engine.h"
#include "lambdaml/torch/channel_kernels.h"
#include "lambdaml/torch/convolution.h"
#include "lambdaml/torch/fused_plan.h"

/// Forward and backward passes over a FusedPlan.
///
/// Between two convolutions lies the batch normalization, which needs the statistics of the whole
/// batch. So a pass is a sequence of phases, one for each convolution, and within a phase each
/// thread takes its images chunk by chunk: it normalizes the chunk, convolves it, and adds up the
/// statistics of the result, while all of this lies in its cache. Only the outputs of convolutions
/// go to memory, not their normalized, positive parts: those are computed anew in the backward
/// pass, which costs less than to read them. Memory is what bounds a MobileNet: 8 transfers of an
/// activation per step instead of 14 or more made it 1.7 times as fast.
///
/// Batch normalization over the batches of several workers (PyTorch's SyncBatchNorm) merges what
/// the threads have added up, between two phases: in the forward pass the moments of an output, in
/// the backward pass the sums over its gradient.
///
/// Every sum is taken over the images of a chunk, the chunks of a thread, and the threads, in this
/// order: for one number of threads, the same bits.
namespace lambdaml::torch_library {

/// How a pass treats batch normalization.
enum class Normalizing {
  by_batch,   ///< training
  by_frozen,  ///< training with the statistics of the parameters
  evaluating  ///< the same, without a backward pass
};

/// T: the type of activations, float or Bf16. Used by one thread, which uses others.
template <class T>
class FusedPass {
 public:
  FusedPass(const FusedPlan& plan, std::size_t threads);

  /// The input of the linear layer: images × channels of the head. `merge`: as Pass::merge, also
  /// for backward(); it may throw.
  at::Tensor forward(std::span<const float> images, std::size_t count,
                     std::span<const float> parameters, Normalizing normalizing,
                     const model::MergeNumbers* merge = nullptr);
  /// From its gradient: adds the gradients of everything but the linear layer and what is frozen,
  /// and images · change of the statistics, to `sums`. Call once after each forward(), if the plan
  /// has something to learn.
  void backward(const at::Tensor& gradient, std::span<float> sums);

 private:
  /// What a thread has for itself.
  struct Lane {
    Workspace workspace;
    std::vector<double> sums;  ///< 2 · channels
    std::vector<double> other_sums;
    std::vector<float> depthwise;  ///< 9 · channels
    at::Tensor input;              ///< a normalized chunk
    at::Tensor gradient;           ///< of a convolution's output
    at::Tensor added;              ///< a gradient to be added to what is there
    double count = 0;              ///< rows whose moments are in `mean` and `squares`
    std::vector<double> mean;
    std::vector<double> squares;
  };
  /// The batch normalization of one node in this step.
  struct Norm {
    std::vector<float> scale, shift, mean, inverse, variance;
    std::vector<float> a, b, c;  ///< dy = a · dz + b · y + c
    double rows = 0;
    Affine affine() const { return {scale.data(), shift.data()}; }
  };
  struct Range {
    std::size_t begin;
    std::size_t end;
  };

  Range share(std::size_t lane) const {
    return {count_ * lane / lanes_.size(), count_ * (lane + 1) / lanes_.size()};
  }
  Window window_of(const ConvolutionShape& shape, std::size_t images) const;
  using Body = std::function<void(Lane& lane, std::size_t first, std::size_t images)>;
  /// On all threads, each with its lane, for chunks of at most that many images.
  void for_chunks(std::size_t chunk, const Body& body);
  /// The images that elementwise steps take at a time.
  std::size_t chunk_of(const Activation& activation) const;
  /// Memory for that many values of every image of the batch.
  at::Tensor make(std::size_t values_per_image) const;
  void prepare();

  void run_node(std::size_t index);
  void store_activation(std::size_t index);
  /// The chunk of a node's input; `lane` holds it if it has to be computed.
  const T* input_of(const Node& node, Lane& lane, std::size_t first, std::size_t images) const;
  const T* activation_chunk(std::size_t index, Lane& lane, std::size_t first,
                            std::size_t images) const;
  void add_moments(const Node& node, Lane& lane, std::size_t rows, const T* y) const;
  void finish_moments(std::size_t index);
  void merge_moments(const Node& node, Lane& total) const;
  void set_affine(std::size_t index);

  void begin_sums(std::size_t channels);
  /// Of one chunk, once the gradient of the activation is complete.
  void add_gradient_sums(std::size_t activation, Lane& lane, std::size_t first,
                         std::size_t images) const;
  using LaneSums = std::vector<double> Lane::*;
  void take_gradient_sums(std::size_t node, LaneSums of);
  void merge_gradient_sums(const Activation& activation);
  void set_gradient(std::size_t node, LaneSums of);
  void finish_activation(std::size_t activation);
  void back_node(std::size_t index);
  void back_activation(std::size_t index);
  void take_depthwise(const Node& node);

  static T* at(const at::Tensor& buffer, std::size_t values) {
    return static_cast<T*>(buffer.data_ptr()) + values;
  }
  std::size_t values(const Activation& a) const { return a.channels * a.pixels(); }
  bool trains() const { return normalizing_ != Normalizing::evaluating; }
  /// Whether a node is normalized by the statistics of the batch.
  bool by_batch(const Node& node) const {
    return normalizing_ == Normalizing::by_batch && !node.frozen_norm;
  }

  const FusedPlan& plan_;
  const ChannelOps<T>& ops_;
  std::vector<Convolution> convolutions_;
  std::vector<Lane> lanes_;
  std::vector<std::size_t> owner_;      ///< the activation that normalizes a node
  std::vector<std::size_t> last_node_;  ///< the last step that reads a node's output in forward
  std::vector<std::size_t> last_activation_;

  // Of the present step.
  std::span<const float> images_;
  std::span<const float> parameters_;
  std::span<float> sums_;
  std::size_t count_ = 0;
  Normalizing normalizing_ = Normalizing::evaluating;
  const model::MergeNumbers* merge_ = nullptr;
  std::vector<Norm> norms_;
  std::vector<at::Tensor> outputs_;    ///< of nodes
  std::vector<at::Tensor> stored_;     ///< activations
  std::vector<at::Tensor> gradients_;  ///< of activations
};

extern template class FusedPass<float>;
extern template class FusedPass<Bf16>;

}  // namespace lambdaml::torch_library
