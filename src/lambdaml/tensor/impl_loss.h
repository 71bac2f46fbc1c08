// Losses of linear models; included by kernels_impl.h.
#pragma once

namespace lambdaml::tensor {
namespace {

/// e^x for x ≤ 0, from −87 down e^−87. Relative error < 2^−22.
/// Polynomial: expf of the Cephes library (S. Moshier).
inline F exp_of_negative(F x) {
  x = max(broadcast(-87.0F), x);
  const F rounder = broadcast(12582912.0F);  // 1.5 · 2^23: adding it rounds to an integer
  const F t = fma(x, broadcast(1.44269504F), rounder);
  const F n = t - rounder;
  F r = fnma(n, broadcast(0.693359375F), x);
  r = fnma(n, broadcast(-2.12194440e-4F), r);
  F p = broadcast(1.9875691500e-4F);
  p = fma(p, r, broadcast(1.3981999507e-3F));
  p = fma(p, r, broadcast(8.3334519073e-3F));
  p = fma(p, r, broadcast(4.1665795894e-2F));
  p = fma(p, r, broadcast(1.6666665459e-1F));
  p = fma(p, r, broadcast(5.0000001201e-1F));
  p = fma(p, r * r, r) + 1.0F;
  return scale(p, t);
}

/// log(1 + q) for 0 ≤ q < 2^100, precise for small q too. Polynomial: logf of Cephes; the rounding
/// of 1 + q is corrected to first order.
inline F log_of_one_plus(F q) {
  const F u = 1.0F + q;
  const F correction = (q - (u - 1.0F)) / u;
  const I bits = reinterpret_cast<I>(u);
  const I exponent = (bits - 0x3f3504f3) >> 23;  // u = m · 2^exponent, m in [√½, √2)
  const F f = reinterpret_cast<F>(bits - (exponent << 23)) - 1.0F;
  const F e = __builtin_convertvector(exponent, F);
  const F square = f * f;
  F p = broadcast(7.0376836292e-2F);
  p = fma(p, f, broadcast(-1.1514610310e-1F));
  p = fma(p, f, broadcast(1.1676998740e-1F));
  p = fma(p, f, broadcast(-1.2420140846e-1F));
  p = fma(p, f, broadcast(1.4249322787e-1F));
  p = fma(p, f, broadcast(-1.6668057665e-1F));
  p = fma(p, f, broadcast(2.0000714765e-1F));
  p = fma(p, f, broadcast(-2.4999993993e-1F));
  p = fma(p, f, broadcast(3.3333331174e-1F));
  p = p * f * square;
  p = fma(e, broadcast(-2.12194440e-4F), p);
  p = fma(broadcast(-0.5F), square, p);
  return fma(e, broadcast(0.693359375F), f + p) + correction;
}

using Bits = std::int64_t __attribute__((vector_size(sizeof(D))));

/// e^x of doubles for x ≤ 0, from −700 down e^−700. Relative error < 2^−50: the Taylor series, up
/// to |x| = ½ log 2, even and odd powers apart, which do not wait for each other.
inline D exp_of_negative(D x) {
  x = max(D{} - 700.0, x);
  const D t = fma(x, D{} + 1.4426950408889634074, D{} + 6755399441055744.0);  // 1.5 · 2^52
  const D n = t - 6755399441055744.0;
  D r = fma(n, D{} - 6.93145751953125e-1, x);
  r = fma(n, D{} - 1.42860682030941723212e-6, r);
  const D square = r * r;
  constexpr double kEven[] = {3628800, 40320, 720, 24, 2, 1};
  constexpr double kOdd[] = {39916800, 362880, 5040, 120, 6, 1};
  D even = D{} + 1.0 / 479001600, odd = D{} + 1.0 / 6227020800;
  for (const double factorial : kEven) even = fma(even, square, D{} + 1 / factorial);
  for (const double factorial : kOdd) odd = fma(odd, square, D{} + 1 / factorial);
  const D p = fma(odd, r, even);
  return reinterpret_cast<D>(reinterpret_cast<Bits>(p) + (reinterpret_cast<Bits>(t) << 52));
}

/// log(1 + q) of doubles for 0 ≤ q < 2^1000, precise for small q too: 2 artanh(f / (2 + f)) of the
/// mantissa 1 + f of u = 1 + q, whose rounding is corrected to first order.
inline D log_of_one_plus(D q) {
  const D u = 1.0 + q;
  const D correction = (q - (u - 1.0)) / u;
  const Bits bits = reinterpret_cast<Bits>(u);
  const Bits exponent = (bits - 0x3fe6a09e667f3bcd) >> 52;  // u = m · 2^exponent, m in [√½, √2)
  const D f = reinterpret_cast<D>(bits - (exponent << 52)) - 1.0;
  const D e = __builtin_convertvector(exponent, D);
  const D s = f / (2.0 + f);
  const D square = s * s;
  D p{};
  for (int k = 23; k > 0; k -= 2) p = fma(p, square, D{} + 2.0 / k);
  const D low = fma(e, D{} + 1.42860682030941723212e-6, correction);
  return fma(e, D{} + 6.93145751953125e-1, fma(s, p, low));
}

/// Each loss: the losses of rows and their derivatives by the margin, the residuals; in float or in
/// double.
class Logistic {
 public:
  static constexpr bool kHasClasses = true;
  static constexpr bool kHasLogarithm = true;
  template <class V>
  static V of(V margin, V label, V& residual) {
    V e;
    const V loss = without_logarithm(margin, label, residual, e);
    return loss + log_of_one_plus(e);
  }
  /// The losses less log(1 + e).
  template <class V>
  static V without_logarithm(V margin, V label, V& residual, V& e) {
    e = exp_of_negative(-max(margin, -margin));
    const V inverse = 1.0F / (1.0F + e);
    residual = (margin < V{} ? e * inverse : inverse) - label;
    return max(V{}, (1.0F - 2.0F * label) * margin);
  }
};

class Hinge {
 public:
  static constexpr bool kHasClasses = true;
  static constexpr bool kHasLogarithm = false;
  template <class V>
  static V of(V margin, V label, V& residual) {
    const V sign = 2.0F * label - 1.0F;
    const V lack = 1.0F - sign * margin;
    residual = lack > V{} ? -sign : V{};
    return max(V{}, lack);
  }
};

class SquaredHinge {
 public:
  static constexpr bool kHasClasses = true;
  static constexpr bool kHasLogarithm = false;
  template <class V>
  static V of(V margin, V label, V& residual) {
    const V sign = 2.0F * label - 1.0F;
    const V lack = max(V{}, 1.0F - sign * margin);
    residual = -2.0F * sign * lack;
    return lack * lack;
  }
};

/// The labels are any numbers, and no row counts as correct.
class Squared {
 public:
  static constexpr bool kHasClasses = false;
  static constexpr bool kHasLogarithm = false;
  template <class V>
  static V of(V margin, V label, V& residual) {
    residual = margin - label;
    return 0.5F * residual * residual;
  }
};

/// Rows whose counts and residuals are summed in float before they are added to doubles.
constexpr std::size_t kBlockVectors = 32;
constexpr std::size_t kBlock = kBlockVectors * kWidth;

/// The part that the sums of all losses in float share: the sums and the loop.
class FloatSums {
 public:
  /// Applies step(margin, label, valid) → residual to n ≤ kBlock rows. `valid` masks the lanes
  /// beyond the last row.
  template <class Step>
  void block(std::size_t n, const float* labels, float* z, Step step) {
    F block_residuals{};
    F block_correct{};
    const auto run = [&](F margin, F label, auto valid) {
      const F residual = step(margin, label, valid);
      block_residuals += valid(residual);
      block_correct += valid(margin > F{} ? label : 1.0F - label);
      return residual;
    };
    std::size_t i = 0;
    for (; i + kWidth <= n; i += kWidth)
      store(z + i, run(load(z + i), load(labels + i), [](F v) { return v; }));
    if (i < n) {
      const First first(n - i);
      store(z + i, first, run(load(z + i, first), load(labels + i, first), [first](F v) {
              return keep(first, v);
            }));
    }
    residuals_.add(block_residuals);
    correct_.add(block_correct);
  }
  void add_loss(F v) { loss_.add(v); }
  /// sums: loss, residuals, correct.
  void add_to(double* sums, bool has_classes) const {
    sums[0] += loss_.sum();
    sums[1] += residuals_.sum();
    if (has_classes) sums[2] += correct_.sum();
  }

 private:
  Doubles loss_;
  Doubles residuals_;
  Doubles correct_;
};

/// Replaces margins by residuals and sums up losses, residuals and correct rows.
template <class Loss, class Real>
class LossTotal;

template <class Loss>
class LossTotal<Loss, float> {
 public:
  /// n ≤ kBlock rows.
  void add(std::size_t n, const float* labels, float* z) {
    sums_.block(n, labels, z, [&](F margin, F label, auto valid) {
      F residual;
      sums_.add_loss(valid(Loss::of(margin, label, residual)));
      return residual;
    });
  }
  void add_to(double* sums) const { sums_.add_to(sums, Loss::kHasClasses); }

 private:
  FloatSums sums_;
};

template <>
class LossTotal<Logistic, float> {
 public:
  /// n ≤ kBlock rows. Logistic::without_logarithm() in another order, which takes 4 % less time.
  void add(std::size_t n, const float* labels, float* z) {
    if (factors_ + vectors_of(n) > kBlockVectors) take_logarithm();
    factors_ += vectors_of(n);
    F product = product_less_one_;
    sums_.block(n, labels, z, [&](F margin, F label, auto valid) {
      const F e = exp_of_negative(-max(margin, -margin));
      const F inverse = 1.0F / (1.0F + e);
      const F kept = valid(e);
      product = fma(product, kept, product + kept);
      sums_.add_loss(max(F{}, (1.0F - 2.0F * label) * margin));
      return (margin < F{} ? e * inverse : inverse) - label;
    });
    product_less_one_ = product;
  }
  void add_to(double* sums) {
    take_logarithm();
    sums_.add_to(sums, Logistic::kHasClasses);
  }

 private:
  /// Σ log(1 + e_i) = log Π(1 + e_i): one logarithm per lane and up to 32 factors, each ≤ 2. Held
  /// as the product less one, small terms are not rounded away.
  void take_logarithm() {
    sums_.add_loss(log_of_one_plus(product_less_one_));
    product_less_one_ = F{};
    factors_ = 0;
  }

  F product_less_one_{};
  std::size_t factors_ = 0;
  FloatSums sums_;
};

/// With a weight for each row, by which its loss and its residual are multiplied.
template <class Loss>
void weighted_loss(std::size_t n, const float* labels, const float* weights, float* z,
                   double* sums) {
  Doubles losses;
  Doubles residuals;
  Doubles correct;
  const auto run = [&](F margin, F label, F weight, auto valid) {
    F residual;
    losses.add(valid(weight * Loss::of(margin, label, residual)));
    residual *= weight;
    residuals.add(valid(residual));
    if constexpr (Loss::kHasClasses) correct.add(valid(margin > F{} ? label : 1.0F - label));
    return residual;
  };
  std::size_t i = 0;
  for (; i + kWidth <= n; i += kWidth)
    store(z + i, run(load(z + i), load(labels + i), load(weights + i), [](F v) { return v; }));
  if (i < n) {
    const First first(n - i);
    store(z + i, first,
          run(load(z + i, first), load(labels + i, first), load(weights + i, first),
              [first](F v) { return keep(first, v); }));
  }
  sums[0] += losses.sum();
  sums[1] += residuals.sum();
  sums[2] += correct.sum();
}

/// `weights` may be null: 1.
template <class Loss>
void loss(std::size_t n, const float* labels, const float* weights, float* z, double* sums) {
  if (weights != nullptr) return weighted_loss<Loss>(n, labels, weights, z, sums);
  LossTotal<Loss, float> total;
  for (std::size_t i = 0; i < n; i += kBlock)
    total.add(n - i < kBlock ? n - i : kBlock, labels + i, z + i);
  total.add_to(sums);
}

}  // namespace
}  // namespace lambdaml::tensor
