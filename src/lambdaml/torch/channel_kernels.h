#pragma once

#include <cstddef>
#include <cstdint>

/// What happens to activations between two convolutions, on rows of channels: a row is one pixel of
/// one image, its channels are contiguous (channels-last), and their number is a multiple of 16.
///
/// Like the kernels of tensor/, these exist once for each instruction set, from one source, and
/// every result is a function of the arguments and the instruction set alone. A convolution's
/// output is stored as it is, and read again by those who need it normalized: a pass over memory
/// costs more than the arithmetic. The sources that include this are compiled with flags that the
/// running processor may not support, so nothing here has a body or uses templates of the standard
/// library.
namespace lambdaml::torch_library {

/// The bits of a bfloat16.
using Bf16 = std::uint16_t;

/// Per channel: value · scale + shift. Both of one number per channel.
struct Affine {
  const float* scale;
  const float* shift;
};

/// A batch of images, channels-last, and a window that moves over it.
struct Window {
  std::size_t images;
  std::size_t channels;
  std::size_t height;  ///< of the input
  std::size_t width;
  std::size_t out_height;
  std::size_t out_width;
  std::size_t stride;
};

template <class T>
struct ChannelOps {
  /// out = max(x · scale + shift, 0).
  void (*normalize)(std::size_t rows, std::size_t channels, const T* x, Affine by, T* out);
  /// out = max(x · scale + shift + (other · scale + shift, or `plain`, if not null), 0).
  void (*join)(std::size_t rows, std::size_t channels, const T* x, Affine by, const T* other,
               Affine other_by, const T* plain, T* out);
  /// sums[c] += Σ (x − pivot), sums[channels + c] += Σ (x − pivot)², where pivot is the first row.
  void (*moments)(std::size_t rows, std::size_t channels, const T* x, double* sums);
  /// Where x · by is positive: sums[c] += Σ gradient, sums[channels + c] += Σ gradient · (x −
  /// mean).
  void (*gradient_sums)(std::size_t rows, std::size_t channels, const T* gradient, const T* x,
                        Affine by, const float* mean, double* sums);
  /// The same without a condition.
  void (*plain_gradient_sums)(std::size_t rows, std::size_t channels, const T* gradient, const T* x,
                              const float* mean, double* sums);
  /// out = a · (gradient where x · by is positive, else 0) + b · x + c, of three numbers per
  /// channel.
  void (*normalize_backward)(std::size_t rows, std::size_t channels, const T* gradient, const T* x,
                             Affine by, const float* a, const float* b, const float* c, T* out);
  void (*plain_normalize_backward)(std::size_t rows, std::size_t channels, const T* gradient,
                                   const T* x, const float* a, const float* b, const float* c,
                                   T* out);
  /// gradient = 0 where `activation` is not positive.
  void (*mask)(std::size_t n, const T* activation, T* gradient);
  /// to += from.
  void (*add)(std::size_t n, const T* from, T* to);
  /// out[image][c] = the mean over `pixels` rows each.
  void (*mean)(std::size_t images, std::size_t pixels, std::size_t channels, const T* x,
               float* out);
  /// Its gradient: every row of an image is its row of `gradient` / pixels.
  void (*mean_backward)(std::size_t images, std::size_t pixels, std::size_t channels,
                        const float* gradient, T* out);
  /// The largest of 3 × 3 pixels with one pixel of padding.
  void (*max_pool)(const Window& window, const T* x, T* out);
  /// Adds each gradient to the first of the pixels that are the largest.
  void (*max_pool_backward)(const Window& window, const T* x, const T* out, const T* gradient,
                            T* to);
  /// sums[tap · channels + c] += Σ gradient · x for the nine taps of a depthwise convolution of
  /// 3 × 3 with one pixel of padding.
  void (*depthwise_weights)(const Window& window, const T* x, const T* gradient, float* sums);
  /// Of any number of values.
  void (*from_float)(std::size_t n, const float* x, T* out);
};

struct ChannelKernels {
  const char* name;
  ChannelOps<float> wide;
  ChannelOps<Bf16> narrow;
};

extern const ChannelKernels kPortableChannels;
#if defined(__x86_64__)
extern const ChannelKernels kAvx2Channels;
extern const ChannelKernels kAvx512Channels;
#endif

/// Those of tensor::instruction_set().
const ChannelKernels& channel_kernels();

}  // namespace lambdaml::torch_library
