// Margins and gradients of linear models; included by kernels_impl.h.
#pragma once

namespace lambdaml::tensor {
namespace {

/// Vectors of a row that are handled at once, in registers.
constexpr std::size_t kMaxVectors = 8;

/// Margins of n ≤ kWidth rows of at most V vectors, whose weights stay in registers: the lanes of
/// all rows are summed together. Fewer rows: the last one is taken again, so that a row meets the
/// same operations wherever it stands.
template <std::size_t V>
void margins_of_narrow_rows(const float* x, std::size_t rows, std::size_t cols,
                            const float* weights, float bias, float* out) {
  const First tail(cols - (V - 1) * kWidth);
  F w[V];
  for (std::size_t v = 0; v + 1 < V; ++v) w[v] = load(weights + v * kWidth);
  w[V - 1] = load(weights + (V - 1) * kWidth, tail);
  const auto partial_sums = [&](const float* row) {
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

/// Margins of R wide rows, which share the loads of the weights. Each row's sums are taken alike
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

void margins(const float* x, std::size_t rows, std::size_t cols, const float* weights, float bias,
             float* out) {
  switch ((cols + kWidth - 1) / kWidth) {
    case 0:
      for (std::size_t i = 0; i < rows; ++i) out[i] = bias;
      return;
    case 1:
      return margins_of_narrow_rows<1>(x, rows, cols, weights, bias, out);
    case 2:
      return margins_of_narrow_rows<2>(x, rows, cols, weights, bias, out);
    case 3:
      return margins_of_narrow_rows<3>(x, rows, cols, weights, bias, out);
    case 4:
      return margins_of_narrow_rows<4>(x, rows, cols, weights, bias, out);
    case 5:
      return margins_of_narrow_rows<5>(x, rows, cols, weights, bias, out);
    case 6:
      return margins_of_narrow_rows<6>(x, rows, cols, weights, bias, out);
    case 7:
      return margins_of_narrow_rows<7>(x, rows, cols, weights, bias, out);
    case 8:
      return margins_of_narrow_rows<8>(x, rows, cols, weights, bias, out);
    default:
      break;
  }
  std::size_t i = 0;
  for (; i + 4 <= rows; i += 4) margins_of_wide_rows<4>(x + i * cols, cols, weights, bias, out + i);
  for (; i < rows; ++i) margins_of_wide_rows<1>(x + i * cols, cols, weights, bias, out + i);
}

/// Adds residual-weighted rows to V vectors of the gradient, the last of them `tail` wide, held in
/// registers over all rows. `x` and `gradient` point to the first of these columns. Narrow blocks
/// keep several sums, row i in sum i mod U, or each addition would wait for the one before.
template <std::size_t V>
void accumulate_columns(const float* x, std::size_t rows, std::size_t stride,
                        const float* residuals, First tail, float* gradient) {
  constexpr std::size_t kSums = V >= kMaxVectors / 2 ? 1 : kMaxVectors / 2 / V;
  F sums[kSums][V] = {};
  const auto add_row = [&](std::size_t i, F(&sum)[V]) {
    const float* row = x + i * stride;
    const F residual = broadcast(residuals[i]);
    for (std::size_t v = 0; v + 1 < V; ++v) sum[v] = fma(load(row + v * kWidth), residual, sum[v]);
    sum[V - 1] = fma(load(row + (V - 1) * kWidth, tail), residual, sum[V - 1]);
  };
  std::size_t i = 0;
  for (; i + kSums <= rows; i += kSums)
    for (std::size_t u = 0; u < kSums; ++u) add_row(i + u, sums[u]);
  for (; i < rows; ++i) add_row(i, sums[0]);
  for (std::size_t v = 0; v < V; ++v) {
    for (std::size_t u = 1; u < kSums; ++u) sums[0][v] += sums[u][v];
    float* g = gradient + v * kWidth;
    if (v + 1 < V)
      store(g, load(g) + sums[0][v]);
    else
      store(g, tail, load(g, tail) + sums[0][v]);
  }
}

void accumulate(const float* x, std::size_t rows, std::size_t cols, const float* residuals,
                float* gradient) {
  if (rows == 0) return;
  for (std::size_t c = 0; c < cols; c += kMaxVectors * kWidth) {
    const std::size_t left = cols - c;
    const std::size_t vectors =
        left >= kMaxVectors * kWidth ? kMaxVectors : (left + kWidth - 1) / kWidth;
    const std::size_t last = left - (vectors - 1) * kWidth;
    const First tail(last < kWidth ? last : kWidth);
    const auto run = [&](auto kernel) { kernel(x + c, rows, cols, residuals, tail, gradient + c); };
    switch (vectors) {
      case 1:
        run(accumulate_columns<1>);
        break;
      case 2:
        run(accumulate_columns<2>);
        break;
      case 3:
        run(accumulate_columns<3>);
        break;
      case 4:
        run(accumulate_columns<4>);
        break;
      case 5:
        run(accumulate_columns<5>);
        break;
      case 6:
        run(accumulate_columns<6>);
        break;
      case 7:
        run(accumulate_columns<7>);
        break;
      default:
        run(accumulate_columns<8>);
        break;
    }
  }
}

/// Scalar on purpose: gathers and scatters are slower where the weights do not fit the first cache,
/// and the time goes into the misses, which four independent sums let overlap.
template <class Index>
void sparse_margins(const std::uint64_t* offsets, const Index* indices, const float* values,
                    std::size_t rows, const float* weights, float bias, float* out) {
  for (std::size_t i = 0; i < rows; ++i) {
    const Index* index = indices + offsets[i];
    const Index* const end = indices + offsets[i + 1];
    const float* value = values + offsets[i];
    float a = 0;
    float b = 0;
    float c = 0;
    float d = 0;
    for (; end - index >= 4; index += 4, value += 4) {
      a += weights[index[0]] * value[0];
      b += weights[index[1]] * value[1];
      c += weights[index[2]] * value[2];
      d += weights[index[3]] * value[3];
    }
    for (; index != end; ++index, ++value) a += weights[*index] * *value;
    out[i] = ((a + b) + (c + d)) + bias;
  }
}

template <class Index>
void sparse_accumulate(const std::uint64_t* offsets, const Index* indices, const float* values,
                       std::size_t rows, const float* residuals, float* gradient) {
  for (std::size_t i = 0; i < rows; ++i) {
    const Index* index = indices + offsets[i];
    const Index* const end = indices + offsets[i + 1];
    const float* value = values + offsets[i];
    const float r = residuals[i];
    // The indices of a row differ, so four loads may go before four stores.
    for (; end - index >= 4; index += 4, value += 4) {
      const float a = gradient[index[0]] + r * value[0];
      const float b = gradient[index[1]] + r * value[1];
      const float c = gradient[index[2]] + r * value[2];
      const float d = gradient[index[3]] + r * value[3];
      gradient[index[0]] = a;
      gradient[index[1]] = b;
      gradient[index[2]] = c;
      gradient[index[3]] = d;
    }
    for (; index != end; ++index, ++value) gradient[*index] += r * *value;
  }
}

}  // namespace
}  // namespace lambdaml::tensor
