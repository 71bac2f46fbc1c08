// Margins and sums of rows by their residuals; included by kernels_impl.h.
#pragma once

namespace lambdaml::tensor {
namespace {

/// The vectors of a row that are kept in registers at a time.
constexpr std::size_t kMaxVectors = 8;
/// How far ahead rows are prefetched, in bytes; by measurement.
constexpr std::size_t kDenseAhead = 16 * 1024;
constexpr std::size_t kSparseAhead = 2 * 1024;

template <std::size_t N>
struct Count {
  static constexpr std::size_t value = N;
};

/// Margins of rows of V vectors. The weights stay in registers, and the lanes of kWidth rows are
/// summed together. If fewer rows remain, the last one is repeated, so that a row undergoes the
/// same operations at every position.
template <std::size_t V>
void margins_of_narrow_rows(const float* x, std::size_t rows, std::size_t cols,
                            const float* weights, float bias, float* out) {
  const First tail(cols - (V - 1) * kWidth);
  F w[V];
  for (std::size_t v = 0; v + 1 < V; ++v) w[v] = load(weights + v * kWidth);
  w[V - 1] = load(weights + (V - 1) * kWidth, tail);
  const auto partial_sums = [&](const float* row) {
    prefetch(row, V * kWidth * sizeof(float), kDenseAhead);
    F sum = load(row + (V - 1) * kWidth, tail) * w[V - 1];
    for (std::size_t v = 0; v + 1 < V; ++v) sum = fma(load(row + v * kWidth), w[v], sum);
    return sum;
  };
  F sums[kWidth];
  std::size_t i = 0;
  for (; i + kWidth <= rows; i += kWidth) {
    for (std::size_t r = 0; r < kWidth; ++r) sums[r] = partial_sums(x + (i + r) * cols);
    store(out + i, sum_each(sums) + bias);
  }
  if (i < rows) {
    for (std::size_t r = 0; r < kWidth; ++r)
      sums[r] = partial_sums(x + (i + r < rows ? i + r : rows - 1) * cols);
    store(out + i, First(rows - i), sum_each(sums) + bias);
  }
}

/// Margins of R wide rows, which share the loads of the weights. Each row is summed in the same way
/// for every R.
template <std::size_t R>
void margins_of_wide_rows(const float* x, std::size_t cols, const float* weights, float bias,
                          float* out) {
  F even[R] = {};
  F odd[R] = {};
  std::size_t c = 0;
  for (; c + 2 * kWidth <= cols; c += 2 * kWidth) {
    const F w0 = load(weights + c);
    const F w1 = load(weights + c + kWidth);
    for (std::size_t r = 0; r < R; ++r) {
      even[r] = fma(load(x + r * cols + c), w0, even[r]);
      odd[r] = fma(load(x + r * cols + c + kWidth), w1, odd[r]);
    }
  }
  for (; c < cols; c += kWidth) {
    const First first(cols - c < kWidth ? cols - c : kWidth);
    const F w0 = load(weights + c, first);
    for (std::size_t r = 0; r < R; ++r) even[r] = fma(load(x + r * cols + c, first), w0, even[r]);
  }
  for (std::size_t r = 0; r < R; ++r) out[r] = sum_lanes(even[r] + odd[r]) + bias;
}

/// Calls run with the number of vectors, 1 … kMaxVectors, as a compile-time constant.
template <class Run>
void with_vectors(std::size_t vectors, Run run) {
  switch (vectors) {
    case 1:
      return run(Count<1>{});
    case 2:
      return run(Count<2>{});
    case 3:
      return run(Count<3>{});
    case 4:
      return run(Count<4>{});
    case 5:
      return run(Count<5>{});
    case 6:
      return run(Count<6>{});
    case 7:
      return run(Count<7>{});
    default:
      return run(Count<8>{});
  }
}

void margins(const float* x, std::size_t rows, std::size_t cols, const float* weights, float bias,
             float* out) {
  if (cols == 0) {
    for (std::size_t i = 0; i < rows; ++i) out[i] = bias;
    return;
  }
  if (cols <= kMaxVectors * kWidth) {
    with_vectors(vectors_of(cols), [&](auto v) {
      margins_of_narrow_rows<v.value>(x, rows, cols, weights, bias, out);
    });
    return;
  }
  std::size_t i = 0;
  for (; i + 4 <= rows; i += 4) margins_of_wide_rows<4>(x + i * cols, cols, weights, bias, out + i);
  for (; i < rows; ++i) margins_of_wide_rows<1>(x + i * cols, cols, weights, bias, out + i);
}

/// Residual-weighted sums of rows over V vectors of columns, the last of them `tail` wide, in
/// registers. Narrow ones use several sums, row i in sum i mod kSums, because otherwise each
/// addition would wait for the one before.
template <std::size_t V>
class ColumnSums {
 public:
  explicit ColumnSums(First tail) : tail_(tail) {}

  /// `x` points to the first of the columns.
  void add(const float* x, std::size_t rows, std::size_t stride, const float* residuals) {
    // A copy of its own, or compilers store each row's sums.
    Sums sums = sums_;
    std::size_t i = 0;
    for (; i + kSums <= rows; i += kSums)
      for (std::size_t s = 0; s < kSums; ++s)
        add_row(x + (i + s) * stride, residuals[i + s], sums.of[s]);
    for (; i < rows; ++i) add_row(x + i * stride, residuals[i], sums.of[0]);
    sums_ = sums;
  }
  void add_to(float* gradient) const {
    for (std::size_t v = 0; v < V; ++v) {
      F sum = sums_.of[0][v];
      for (std::size_t s = 1; s < kSums; ++s) sum += sums_.of[s][v];
      float* g = gradient + v * kWidth;
      if (v + 1 < V)
        store(g, load(g) + sum);
      else
        store(g, tail_, load(g, tail_) + sum);
    }
  }

 private:
  static constexpr std::size_t kSums = V >= 4 ? 1 : 4 / V;

  struct Sums {
    F of[kSums][V] = {};
  };

  void add_row(const float* row, float residual, F (&sums)[V]) const {
    const F r = broadcast(residual);
    for (std::size_t v = 0; v + 1 < V; ++v) sums[v] = fma(load(row + v * kWidth), r, sums[v]);
    sums[V - 1] = fma(load(row + (V - 1) * kWidth, tail_), r, sums[V - 1]);
  }

  First tail_;
  Sums sums_;
};

void accumulate(const float* x, std::size_t rows, std::size_t cols, const float* residuals,
                float* gradient) {
  for (std::size_t c = 0; c < cols; c += kMaxVectors * kWidth) {
    const std::size_t width = cols - c < kMaxVectors * kWidth ? cols - c : kMaxVectors * kWidth;
    with_vectors(vectors_of(width), [&](auto v) {
      ColumnSums<v.value> sums(First(width - (v.value - 1) * kWidth));
      sums.add(x + c, rows, cols, residuals);
      sums.add_to(gradient + c);
    });
  }
}

/// Four floats, whatever kWidth.
using Quad = float __attribute__((vector_size(16)));
typedef float UnalignedQuad __attribute__((vector_size(16), aligned(alignof(float)), may_alias));

/// Weights are loaded one by one: gather instructions gain little here and are very slow on many
/// processors. Most time is spent on first-level cache misses, which overlap.
template <class Index>
void margins(const std::uint64_t* offsets, const Index* indices, const float* values,
             std::size_t rows, const float* weights, float bias, float* out) {
  for (std::size_t i = 0; i < rows; ++i) {
    const Index* index = indices + offsets[i];
    const float* value = values + offsets[i];
    std::size_t left = offsets[i + 1] - offsets[i];
    prefetch(index, left * sizeof(Index), kSparseAhead);
    prefetch(value, left * sizeof(float), kSparseAhead);
    const auto four = [&](std::size_t at) {
      const Quad picked = {weights[index[at]], weights[index[at + 1]], weights[index[at + 2]],
                           weights[index[at + 3]]};
      return picked * *reinterpret_cast<const UnalignedQuad*>(value + at);
    };
    Quad even{};
    Quad odd{};
    for (; left >= 8; left -= 8, index += 8, value += 8) {
      even += four(0);
      odd += four(4);
    }
    even += odd;
    float sum = (even[0] + even[1]) + (even[2] + even[3]);
    for (std::size_t e = 0; e < left; ++e) sum += weights[index[e]] * value[e];
    out[i] = sum + bias;
  }
}

template <class Index>
void accumulate(const std::uint64_t* offsets, const Index* indices, const float* values,
                std::size_t rows, const float* residuals, float* gradient) {
  constexpr std::size_t kTogether = 8;
  for (std::size_t i = 0; i < rows; ++i) {
    const Index* index = indices + offsets[i];
    const float* value = values + offsets[i];
    std::size_t left = offsets[i + 1] - offsets[i];
    const float residual = residuals[i];
    // The indices of a row differ, so several loads may precede as many stores.
    for (; left >= kTogether; left -= kTogether, index += kTogether, value += kTogether) {
      float sum[kTogether];
      for (std::size_t e = 0; e < kTogether; ++e) sum[e] = gradient[index[e]] + residual * value[e];
      for (std::size_t e = 0; e < kTogether; ++e) gradient[index[e]] = sum[e];
    }
    for (std::size_t e = 0; e < left; ++e) gradient[index[e]] += residual * value[e];
  }
}

}  // namespace
}  // namespace lambdaml::tensor
