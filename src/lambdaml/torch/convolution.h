#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <oneapi/dnnl/dnnl.hpp>

/// Convolutions by oneDNN on channels-last activations, for chunks of a few images.
namespace lambdaml::torch_library {

struct ConvolutionShape {
  std::size_t channels_in;
  std::size_t channels_out;
  std::size_t height;
  std::size_t width;
  std::size_t kernel;
  std::size_t stride;
  std::size_t groups;

  std::size_t out_height() const { return (height - 1) / stride + 1; }
  std::size_t out_width() const { return (width - 1) / stride + 1; }
  std::size_t values_in() const { return channels_in * height * width; }
  std::size_t values_out() const { return channels_out * out_height() * out_width(); }
  std::size_t weights() const { return channels_out * channels_in / groups * kernel * kernel; }
  bool depthwise() const { return groups > 1; }
};

/// Memory that one thread needs besides its activations; grows as needed.
struct Workspace {
  /// One piece of memory, aligned to cache lines.
  class Area {
   public:
    /// At least that many bytes; what was there is kept unless it has to grow.
    std::byte* take(std::size_t bytes);
    float* floats(std::size_t count) {
      return reinterpret_cast<float*>(take(count * sizeof(float)));
    }

   private:
    std::vector<std::byte> bytes_;
  };
  Workspace();

  dnnl::stream stream;
  Area scratch;
  Area input, output, gradient;  ///< of a chunk, in the format of Winograd's convolutions
  Area sums;                     ///< of gradients of weights, in the convolution's own format
  Area present;                  ///< those of one chunk
  bool has_sums = false;
};

/// The number of threads that oneDNN uses on this thread while an instance lives.
class LibraryThreads {
 public:
  explicit LibraryThreads(std::size_t threads);
  ~LibraryThreads();
  LibraryThreads(const LibraryThreads&) = delete;

 private:
  int before_;
};

/// One convolution without bias, padded by (kernel − 1) / 2. Activations are float32, or bfloat16
/// if it is narrow; weights and their gradients are float32, in PyTorch's order.
///
/// Kernels of 3 × 3 with stride 1, between 48 channels or more, are computed in float32 by
/// Winograd's minimal filtering F(4 × 4, 3 × 3) (Lavin & Gray 2016) where oneDNN has it (AVX-512)
/// and a chunk has enough tiles of 4 × 4 pixels: a quarter of the multiplications, and a rounding
/// error of 1e-6 of the results' root mean square instead of 2e-7 (ADR 83). Only in training, so
/// that predictions are as near to PyTorch's as they can be. The number of images of a
/// chunk alone decides, so that the same batch gives the same bits.
///
/// Primitives are made for one thread and a number of images: the caller's threads each run them on
/// their own images, so that what is between two convolutions finds its chunk in the cache. What is
/// const may run on several threads at once, each with LibraryThreads(1).
class Convolution {
 public:
  Convolution(const ConvolutionShape& shape, bool narrow);

  const ConvolutionShape& shape() const { return shape_; }
  /// The number of images to process at a time.
  std::size_t chunk(bool training) const { return training ? training_chunk_ : chunk_; }
  /// Whether chunks of that many images are computed by Winograd's algorithm in training.
  bool is_by_winograd(std::size_t images) const;

  /// Takes the weights for chunks of these numbers of images; `training`: for all three passes,
  /// otherwise for forward() alone. Until the next call.
  void prepare(const float* weights, std::span<const std::size_t> images, bool training,
               std::size_t threads);

  void forward(std::size_t images, const void* x, void* out, Workspace& workspace) const;
  /// From the gradient of the output: adds the gradient of the weights to workspace.sums, or begins
  /// them if `has_sums` is false, unless `x`, the input, is null (as for depthwise convolutions,
  /// whose weights have no gradient here); writes that of the input to `out` unless it is null.
  void backward(std::size_t images, const void* x, const void* gradient, void* out,
                Workspace& workspace) const;
  /// gradients += Σ sums of the workspaces, in their order.
  void take_sums(std::span<Workspace* const> workspaces, float* gradients, std::size_t threads);

 private:
  /// Primitives for one number of images.
  struct Passes {
    dnnl::convolution_forward::primitive_desc forward;
    dnnl::convolution_backward_data::primitive_desc data;
    dnnl::convolution_backward_weights::primitive_desc weights;
    dnnl::convolution_forward run_forward;
    dnnl::convolution_backward_data run_data;
    dnnl::convolution_backward_weights run_weights;
    const dnnl::memory* forward_weights = nullptr;
    const dnnl::memory* data_weights = nullptr;
    dnnl::memory::desc input, output;  ///< channels-last
  };
  void make(std::size_t images, bool training);
  const Passes& passes(std::size_t images) const { return passes_.at({images, training_}); }
  /// False if oneDNN has no such convolution.
  bool describe(Passes& passes, std::size_t images, bool training, bool winograd) const;
  void add_weight_gradient(const Passes& passes, const dnnl::memory& x,
                           const dnnl::memory& gradient, Workspace& workspace) const;
  /// The copy of the weights in that format, taken from `weights` once per call of prepare().
  const dnnl::memory* weights_as(const dnnl::memory::desc& desc, const dnnl::memory& weights);
  /// The format of the sums: that of the first number of images.
  const dnnl::memory::desc& sums_desc() const { return *sums_desc_; }

  struct Copy {
    dnnl::memory memory;
    bool present = false;
  };

  ConvolutionShape shape_;
  bool narrow_;
  bool has_winograd_ = false;
  std::size_t chunk_;
  std::size_t training_chunk_;
  bool training_ = false;
  std::map<std::pair<std::size_t, bool>, Passes> passes_;  ///< by images and whether they train
  std::vector<std::unique_ptr<Copy>> copies_;
  std::optional<dnnl::memory::desc> sums_desc_;
};

}  // namespace lambdaml::torch_library
