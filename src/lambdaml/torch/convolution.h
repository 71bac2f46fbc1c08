#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <span>
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
  Workspace();
  std::byte* scratch(std::size_t bytes);

  dnnl::stream stream;
  std::vector<float> sums;     ///< of gradients of weights, in the convolution's own format
  std::vector<float> present;  ///< those of one chunk
  bool has_sums = false;

 private:
  std::vector<std::byte> scratch_;
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
/// Primitives are made for one thread and a number of images: the caller's threads each run them on
/// their own images, so that what is between two convolutions finds its chunk in the cache. What is
/// const may run on several threads at once, each with LibraryThreads(1).
class Convolution {
 public:
  Convolution(const ConvolutionShape& shape, bool narrow);

  const ConvolutionShape& shape() const { return shape_; }
  /// The number of images to process at a time.
  std::size_t chunk() const { return chunk_; }

  /// Takes the weights for chunks of these numbers of images; `training`: for all three passes.
  void prepare(const float* weights, std::span<const std::size_t> images, bool training,
               std::size_t threads);

  void forward(std::size_t images, const void* x, void* out, Workspace& workspace) const;
  void backward_data(std::size_t images, const void* gradient, void* out,
                     Workspace& workspace) const;
  /// Adds to workspace.sums, or begins them if `has_sums` is false. Not for depthwise convolutions.
  void backward_weights(std::size_t images, const void* x, const void* gradient,
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
    bool trains = false;
  };
  void make(std::size_t images, bool training);
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
  std::size_t chunk_;
  std::map<std::size_t, Passes> passes_;
  std::vector<std::unique_ptr<Copy>> copies_;
  std::optional<dnnl::memory::desc> sums_desc_;
};

}  // namespace lambdaml::torch_library
