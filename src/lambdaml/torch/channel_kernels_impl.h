// The source of channel_kernels_*.cc. Everything is in an unnamed namespace: see channel_kernels.h.
#pragma once

#include "lambdaml/torch/channel_kernels.h"

namespace lambdaml::torch_library {
namespace {

constexpr std::size_t kLanes = 16;
typedef float V __attribute__((vector_size(64)));
typedef std::int32_t Mask __attribute__((vector_size(64)));
typedef std::uint32_t Bits __attribute__((vector_size(64)));
typedef std::uint16_t Halves __attribute__((vector_size(32)));
typedef float UnalignedV __attribute__((vector_size(64), aligned(4), may_alias));
typedef std::uint16_t UnalignedHalves __attribute__((vector_size(32), aligned(2), may_alias));

inline V load(const float* p) { return *reinterpret_cast<const UnalignedV*>(p); }
inline void store(float* p, V v) { *reinterpret_cast<UnalignedV*>(p) = v; }
inline V load(const Bf16* p) {
  const Halves halves = *reinterpret_cast<const UnalignedHalves*>(p);
  return reinterpret_cast<V>(__builtin_convertvector(halves, Bits) << 16);
}
/// Rounds to the nearest, to even if two are. (The NaNs that arithmetic makes stay NaNs.)
inline void store(Bf16* p, V v) {
  Bits bits = reinterpret_cast<Bits>(v);
  bits += 0x7FFFU + ((bits >> 16) & 1U);
  *reinterpret_cast<UnalignedHalves*>(p) = __builtin_convertvector(bits >> 16, Halves);
}
inline void store_one(float* p, float v) { *p = v; }
inline void store_one(Bf16* p, float v) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &v, sizeof bits);
  *p = static_cast<Bf16>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}
/// A NaN stays one.
inline V positive_part(V v) { return v <= V{} ? V{} : v; }
inline V where(Mask mask, V v) { return mask ? v : V{}; }

template <class T>
void normalize(std::size_t rows, std::size_t channels, const T* x, Affine by, T* out) {
  for (std::size_t r = 0; r < rows; ++r, x += channels, out += channels)
    for (std::size_t c = 0; c < channels; c += kLanes)
      store(out + c, positive_part(load(x + c) * load(by.scale + c) + load(by.shift + c)));
}

template <class T>
void join(std::size_t rows, std::size_t channels, const T* x, Affine by, const T* other,
          Affine other_by, const T* plain, T* out) {
  for (std::size_t at = 0; at < rows * channels; at += channels)
    for (std::size_t c = 0; c < channels; c += kLanes) {
      V sum = load(x + at + c) * load(by.scale + c) + load(by.shift + c);
      if (other != nullptr)
        sum += load(other + at + c) * load(other_by.scale + c) + load(other_by.shift + c);
      if (plain != nullptr) sum += load(plain + at + c);
      store(out + at + c, positive_part(sum));
    }
}

/// Rows whose sums are taken in float before they are added in double.
constexpr std::size_t kSumRows = 128;
/// Vectors of channels that are summed together, in registers.
constexpr std::size_t kGroup = 4;

inline void add_to(double* sums, V v) {
  for (std::size_t i = 0; i < kLanes; ++i) sums[i] += static_cast<double>(v[i]);
}

/// Calls term(offset of a vector, channel, two sums) for all vectors of rows × channels and adds
/// the sums to sums[c] and sums[channels + c].
template <std::size_t group, class Term>
void sum_group(std::size_t rows, std::size_t channels, std::size_t c, double* sums,
               const Term& term) {
  for (std::size_t begin = 0; begin < rows; begin += kSumRows) {
    const std::size_t end = begin + kSumRows < rows ? begin + kSumRows : rows;
    V first[group] = {};
    V second[group] = {};
    for (std::size_t at = begin * channels + c; at < end * channels; at += channels)
      for (std::size_t g = 0; g < group; ++g)
        term(at + g * kLanes, c + g * kLanes, first[g], second[g]);
    for (std::size_t g = 0; g < group; ++g) {
      add_to(sums + c + g * kLanes, first[g]);
      add_to(sums + channels + c + g * kLanes, second[g]);
    }
  }
}

template <class Term>
void sum_rows(std::size_t rows, std::size_t channels, double* sums, const Term& term) {
  std::size_t c = 0;
  for (; c + kGroup * kLanes <= channels; c += kGroup * kLanes)
    sum_group<kGroup>(rows, channels, c, sums, term);
  for (; c < channels; c += kLanes) sum_group<1>(rows, channels, c, sums, term);
}

template <class T>
void moments(std::size_t rows, std::size_t channels, const T* x, double* sums) {
  sum_rows(rows, channels, sums, [=](std::size_t at, std::size_t c, V& sum, V& squares) {
    const V value = load(x + at) - load(x + c);
    sum += value;
    squares += value * value;
  });
}

template <class T>
void gradient_sums(std::size_t rows, std::size_t channels, const T* gradient, const T* x, Affine by,
                   const float* mean, double* sums) {
  sum_rows(rows, channels, sums, [=](std::size_t at, std::size_t c, V& sum, V& products) {
    const V value = load(x + at);
    const V passed =
        where(value * load(by.scale + c) + load(by.shift + c) > V{}, load(gradient + at));
    sum += passed;
    products += passed * (value - load(mean + c));
  });
}

template <class T>
void plain_gradient_sums(std::size_t rows, std::size_t channels, const T* gradient, const T* x,
                         const float* mean, double* sums) {
  sum_rows(rows, channels, sums, [=](std::size_t at, std::size_t c, V& sum, V& products) {
    const V passed = load(gradient + at);
    sum += passed;
    products += passed * (load(x + at) - load(mean + c));
  });
}

template <class T>
void normalize_backward(std::size_t rows, std::size_t channels, const T* gradient, const T* x,
                        Affine by, const float* a, const float* b, const float* c, T* out) {
  for (std::size_t at = 0; at < rows * channels; at += channels)
    for (std::size_t i = 0; i < channels; i += kLanes) {
      const V value = load(x + at + i);
      const V passed =
          where(value * load(by.scale + i) + load(by.shift + i) > V{}, load(gradient + at + i));
      store(out + at + i, load(a + i) * passed + (load(b + i) * value + load(c + i)));
    }
}

template <class T>
void plain_normalize_backward(std::size_t rows, std::size_t channels, const T* gradient, const T* x,
                              const float* a, const float* b, const float* c, T* out) {
  for (std::size_t at = 0; at < rows * channels; at += channels)
    for (std::size_t i = 0; i < channels; i += kLanes)
      store(out + at + i,
            load(a + i) * load(gradient + at + i) + (load(b + i) * load(x + at + i) + load(c + i)));
}

template <class T>
void mask(std::size_t n, const T* activation, T* gradient) {
  for (std::size_t i = 0; i < n; i += kLanes)
    store(gradient + i, where(load(activation + i) > V{}, load(gradient + i)));
}

template <class T>
void add(std::size_t n, const T* from, T* to) {
  for (std::size_t i = 0; i < n; i += kLanes) store(to + i, load(to + i) + load(from + i));
}

template <class T>
void mean(std::size_t images, std::size_t pixels, std::size_t channels, const T* x, float* out) {
  const V share = 1.0F / static_cast<float>(pixels) - V{};
  for (std::size_t n = 0; n < images; ++n, x += pixels * channels, out += channels)
    for (std::size_t c = 0; c < channels; c += kLanes) {
      V sum{};
      for (std::size_t p = 0; p < pixels; ++p) sum += load(x + p * channels + c);
      store(out + c, sum * share);
    }
}

template <class T>
void mean_backward(std::size_t images, std::size_t pixels, std::size_t channels,
                   const float* gradient, T* out) {
  const V share = 1.0F / static_cast<float>(pixels) - V{};
  for (std::size_t n = 0; n < images; ++n, gradient += channels)
    for (std::size_t p = 0; p < pixels; ++p, out += channels)
      for (std::size_t c = 0; c < channels; c += kLanes) store(out + c, load(gradient + c) * share);
}

/// Calls visit(offset in the input, tap) for the taps of a window of 3 × 3 that are inside.
template <class Visit>
inline void taps(const Window& w, std::size_t image, std::size_t y, std::size_t x,
                 const Visit& visit) {
  for (std::size_t ky = 0; ky < 3; ++ky)
    for (std::size_t kx = 0; kx < 3; ++kx) {
      // Padding wraps around and is outside, too.
      const std::size_t row = y * w.stride + ky - 1;
      const std::size_t column = x * w.stride + kx - 1;
      if (row < w.height && column < w.width)
        visit(((image * w.height + row) * w.width + column) * w.channels, 3 * ky + kx);
    }
}

template <class T>
void max_pool(const Window& w, const T* x, T* out) {
  for (std::size_t n = 0; n < w.images; ++n)
    for (std::size_t oy = 0; oy < w.out_height; ++oy)
      for (std::size_t ox = 0; ox < w.out_width; ++ox, out += w.channels)
        for (std::size_t c = 0; c < w.channels; c += kLanes) {
          V most = -__builtin_inff() - V{};
          taps(w, n, oy, ox, [&](std::size_t at, std::size_t) {
            const V value = load(x + at + c);
            most = most > value ? most : value;
          });
          store(out + c, most);
        }
}

template <class T>
void max_pool_backward(const Window& w, const T* x, const T* out, const T* gradient, T* to) {
  for (std::size_t n = 0; n < w.images; ++n)
    for (std::size_t oy = 0; oy < w.out_height; ++oy)
      for (std::size_t ox = 0; ox < w.out_width; ++ox, out += w.channels, gradient += w.channels)
        for (std::size_t c = 0; c < w.channels; c += kLanes) {
          const V most = load(out + c);
          V left = load(gradient + c);
          taps(w, n, oy, ox, [&](std::size_t at, std::size_t) {
            const Mask here = load(x + at + c) == most;
            store(to + at + c, load(to + at + c) + where(here, left));
            left = here ? V{} : left;
          });
        }
}

template <class T>
void depthwise_weights(const Window& w, const T* x, const T* gradient, float* sums) {
  // The inner pixels of a row of outputs need no test; what is at the edges has one for each tap.
  for (std::size_t c = 0; c < w.channels; c += kLanes) {
    V sum[9];
    for (std::size_t tap = 0; tap < 9; ++tap) sum[tap] = load(sums + tap * w.channels + c);
    for (std::size_t n = 0; n < w.images; ++n)
      for (std::size_t oy = 0; oy < w.out_height; ++oy) {
        const T* row = gradient + (n * w.out_height + oy) * w.out_width * w.channels + c;
        const bool inner_row = oy > 0 && oy * w.stride + 1 < w.height;
        for (std::size_t ox = 0; ox < w.out_width; ++ox) {
          const V g = load(row + ox * w.channels);
          if (inner_row && ox > 0 && ox * w.stride + 1 < w.width) {
            const T* from =
                x +
                ((n * w.height + oy * w.stride - 1) * w.width + ox * w.stride - 1) * w.channels + c;
            for (std::size_t ky = 0; ky < 3; ++ky, from += w.width * w.channels)
              for (std::size_t kx = 0; kx < 3; ++kx)
                sum[3 * ky + kx] += g * load(from + kx * w.channels);
          } else {
            taps(w, n, oy, ox,
                 [&](std::size_t at, std::size_t tap) { sum[tap] += g * load(x + at + c); });
          }
        }
      }
    for (std::size_t tap = 0; tap < 9; ++tap) store(sums + tap * w.channels + c, sum[tap]);
  }
}

template <class T>
void from_float(std::size_t n, const float* x, T* out) {
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(out + i, load(x + i));
  for (; i < n; ++i) store_one(out + i, x[i]);
}

template <class T>
constexpr ChannelOps<T> kOps = {normalize<T>,
                                join<T>,
                                moments<T>,
                                gradient_sums<T>,
                                plain_gradient_sums<T>,
                                normalize_backward<T>,
                                plain_normalize_backward<T>,
                                mask<T>,
                                add<T>,
                                mean<T>,
                                mean_backward<T>,
                                max_pool<T>,
                                max_pool_backward<T>,
                                depthwise_weights<T>,
                                from_float<T>};

}  // namespace
}  // namespace lambdaml::torch_library
