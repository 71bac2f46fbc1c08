// The kernels of linear models in double, of rows in float: margins, sums of rows, losses. Included
// by kernels_impl.h.
//
// Where an objective is flat, losses of floats do not say where its minimum is: of a support vector
// machine on digits, weights were off by 1e-3, and margins and losses in double bring them to 1e-5
// (ADR 85). Rows are read as floats and widened in registers, so that a pass over a million rows of
// 28 columns, which waits for memory, takes little more time.
#pragma once

namespace lambdaml::tensor {
namespace {

/// margins[i] = ⟨x_i, weights⟩ + bias.
void margins(const float* x, std::size_t rows, std::size_t cols, const double* weights, double bias,
             double* out) {
  const std::size_t whole = cols / kWidth * kWidth;
  const First first(cols - whole);
  double last[kWidth] = {};
  for (std::size_t c = whole; c < cols; ++c) last[c - whole] = weights[c];
  const D last_low = load(last), last_high = load(last + kDoubles);
  for (std::size_t i = 0; i < rows; ++i) {
    const float* row = x + i * cols;
    prefetch(row, cols * sizeof(float), kDenseAhead);
    D low{}, high{};
    for (std::size_t c = 0; c < whole; c += kWidth) {
      const Doubles v = Doubles::widen(load(row + c));
      low = fma(v.low, load(weights + c), low);
      high = fma(v.high, load(weights + c + kDoubles), high);
    }
    if (whole < cols) {
      const Doubles v = Doubles::widen(load(row + whole, first));
      low = fma(v.low, last_low, low);
      high = fma(v.high, last_high, high);
    }
    out[i] = sum_lanes(low + high) + bias;
  }
}

/// gradient += Σ residuals[i] · x_i.
void accumulate(const float* x, std::size_t rows, std::size_t cols, const double* residuals,
                double* gradient) {
  const auto add_columns = [&](std::size_t c, auto load_columns) {
    Doubles even, odd;
    const auto add_row = [&](std::size_t i, Doubles& sums) {
      const Doubles v = Doubles::widen(load_columns(x + i * cols + c));
      const D residual = D{} + residuals[i];
      sums.low = fma(v.low, residual, sums.low);
      sums.high = fma(v.high, residual, sums.high);
    };
    std::size_t i = 0;
    for (; i + 2 <= rows; i += 2) {
      add_row(i, even);
      add_row(i + 1, odd);
    }
    if (i < rows) add_row(i, even);
    even.low += odd.low;
    even.high += odd.high;
    return even;
  };
  std::size_t c = 0;
  for (; c + kWidth <= cols; c += kWidth) {
    const Doubles sums = add_columns(c, [](const float* p) { return load(p); });
    store(gradient + c, load(gradient + c) + sums.low);
    store(gradient + c + kDoubles, load(gradient + c + kDoubles) + sums.high);
  }
  if (c == cols) return;
  const First first(cols - c);
  const Doubles sums = add_columns(c, [first](const float* p) { return load(p, first); });
  double last[kWidth];
  store(last, sums.low);
  store(last + kDoubles, sums.high);
  for (std::size_t j = 0; c + j < cols; ++j) gradient[c + j] += last[j];
}

template <class Index>
void margins(const std::uint64_t* offsets, const Index* indices, const float* values,
             std::size_t rows, const double* weights, double bias, double* out) {
  constexpr std::size_t kSums = 4;
  for (std::size_t i = 0; i < rows; ++i) {
    const Index* index = indices + offsets[i];
    const float* value = values + offsets[i];
    const std::size_t n = offsets[i + 1] - offsets[i];
    prefetch(index, n * sizeof(Index), kSparseAhead);
    prefetch(value, n * sizeof(float), kSparseAhead);
    double sums[kSums] = {};
    std::size_t e = 0;
    for (; e + kSums <= n; e += kSums)
      for (std::size_t s = 0; s < kSums; ++s) sums[s] += weights[index[e + s]] * value[e + s];
    for (; e < n; ++e) sums[0] += weights[index[e]] * value[e];
    out[i] = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + bias;
  }
}

template <class Index>
void accumulate(const std::uint64_t* offsets, const Index* indices, const float* values,
                std::size_t rows, const double* residuals, double* gradient) {
  for (std::size_t i = 0; i < rows; ++i) {
    const double residual = residuals[i];
    if (residual == 0) continue;
    for (std::uint64_t e = offsets[i]; e < offsets[i + 1]; ++e)
      gradient[indices[e]] += residual * values[e];
  }
}

template <class Loss>
class LossTotal<Loss, double> {
 public:
  void add(std::size_t n, const float* labels, double* z) { add(n, labels, nullptr, z); }
  /// `weights` may be null: 1.
  void add(std::size_t n, const float* labels, const float* weights, double* z) {
    if (weights == nullptr)
      add_rows<false>(n, labels, weights, z);
    else
      add_rows<true>(n, labels, weights, z);
  }
  void add_to(double* sums) {
    take_logarithm();
    sums[0] += sum_lanes(losses_);
    sums[1] += sum_lanes(residuals_);
    sums[2] += sum_lanes(correct_);
  }

 private:
  using Half = float __attribute__((vector_size(kDoubles * sizeof(float))));
  /// Σ log(1 + e_i) = log Π(1 + e_i): one logarithm per lane and so many factors, each ≤ 2.
  static constexpr std::size_t kFactors = 64;

  template <bool kWeighted>
  void add_rows(std::size_t n, const float* labels, const float* weights, double* z) {
    std::size_t i = 0;
    for (; i + kDoubles <= n; i += kDoubles)
      store(z + i, residuals<kWeighted>(load(z + i), widened(labels + i),
                                        kWeighted ? widened(weights + i) : D{} + 1.0));
    if (i == n) return;
    // The lanes beyond the last row weigh nothing, and count as correct until the end.
    double margin[kDoubles] = {};
    float label[kDoubles] = {}, weight[kDoubles] = {};
    for (std::size_t j = 0; i + j < n; ++j) {
      margin[j] = z[i + j];
      label[j] = labels[i + j];
      weight[j] = kWeighted ? weights[i + j] : 1.0F;
    }
    store(margin, residuals<kWeighted>(load(margin), widened(label), widened(weight)));
    for (std::size_t j = 0; i + j < n; ++j) z[i + j] = margin[j];
    if constexpr (Loss::kHasClasses) correct_[0] -= static_cast<double>(kDoubles - (n - i));
  }
  static D widened(const float* p) {
    Half half;
    __builtin_memcpy(&half, p, sizeof half);
    return __builtin_convertvector(half, D);
  }
  /// Without weights, `weight` is 1, or 0 beyond the last row.
  template <bool kWeighted>
  D residuals(D margin, D label, D weight) {
    D residual;
    if constexpr (Loss::kHasLogarithm && !kWeighted) {
      if (++factors_ > kFactors) take_logarithm();
      D e;
      losses_ += weight * Loss::without_logarithm(margin, label, residual, e);
      e *= weight;
      product_less_one_ = fma(product_less_one_, e, product_less_one_ + e);
    } else {
      losses_ += weight * Loss::of(margin, label, residual);
    }
    residual *= weight;
    residuals_ += residual;
    if constexpr (Loss::kHasClasses) correct_ += margin > D{} ? label : 1.0 - label;
    return residual;
  }
  void take_logarithm() {
    if constexpr (Loss::kHasLogarithm) {
      losses_ += log_of_one_plus(product_less_one_);
      product_less_one_ = D{};
      factors_ = 0;
    }
  }

  D losses_{};
  D residuals_{};
  D correct_{};
  D product_less_one_{};
  std::size_t factors_ = 0;
};

template <class Loss>
void loss(std::size_t n, const float* labels, const float* weights, double* z, double* sums) {
  LossTotal<Loss, double> total;
  total.add(n, labels, weights, z);
  total.add_to(sums);
}

}  // namespace
}  // namespace lambdaml::tensor
