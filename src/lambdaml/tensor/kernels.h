#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

#include "lambdaml/tensor/view.h"

/// The hot loops. Each exists for AVX-512, AVX2 and portably (used by arm64 and old machines),
/// compiled from one source; the first call selects the best one that the processor supports, or
/// the one that LAMBDAML_ISA (`avx512`, `avx2`, `portable`) names. For one instruction set every
/// result is bitwise a function of the arguments alone, and the result for a row does not depend on
/// its neighbours. All run on the calling thread, are thread-safe and do not allocate.
namespace lambdaml::tensor {

/// "avx512", "avx2" or "portable". Throws invalid_argument, as every kernel then does, if
/// LAMBDAML_ISA names one that this processor does not support.
std::string_view instruction_set();

/// In what follows Rows is DenseView, Csr16 or Csr32, and Real is float or double: what is computed
/// of rows in float. In double each product and each sum is rounded as a double is.

/// margins[i] = ⟨x_i, weights⟩ + bias for each row i of `x`. weights: x.cols; margins: x.rows.
template <class Rows, class Real>
void margins(const Rows& x, const Real* weights, std::type_identity_t<Real> bias, Real* margins);

/// gradient += Σ_i residuals[i] · x_i, in an order that depends on the shape alone. gradient:
/// x.cols; residuals: x.rows.
template <class Rows, class Real>
void accumulate(const Rows& x, const Real* residuals, Real* gradient);

/// Losses of a linear model with labels y ∈ {0, 1} and margins z.
/// logistic: log(1 + exp(−s)) with s = (2y − 1) z; its derivative by z, the residual, is σ(z) − y.
/// hinge: max(0, 1 − s); the residual is −(2y − 1) where s < 1, else 0.
/// squared_hinge: max(0, 1 − s)²; the residual is −2 (2y − 1) max(0, 1 − s).
/// squared: ½ (z − y)² for any numbers y; the residual is z − y.
enum class Loss { logistic, hinge, squared_hinge, squared };

/// Sums over rows, in double.
struct LossSums {
  double loss = 0;
  double residuals = 0;  ///< the gradient of the bias
  double correct = 0;    ///< rows with (z > 0) = (y = 1); squared: 0
};

/// Replaces n margins by their residuals. |error| of a residual ≤ 3e-7 compared with double
/// arithmetic, relative error of the loss ≤ 2e-6; in double 1e-14 both. No overflow for any finite
/// z; a NaN propagates to the loss. With `weights` ≥ 0, one a row, losses and residuals are
/// multiplied by them, `correct` is not; null: without.
template <class Real>
LossSums apply_loss(Loss loss, std::size_t n, const float* labels, const float* weights, Real* z);

/// margins, apply_loss and accumulate in one pass, which reads `x` from memory once; Σ residual_i ·
/// x_i is added to `gradient` (x.cols). The fastest way to a gradient, for any number of rows.
template <class Rows, class Real>
LossSums add_gradient(Loss loss, const Rows& x, const float* labels, const Real* weights,
                      std::type_identity_t<Real> bias, Real* gradient);

/// How many rows of `x` to process at a time in a caller's own chain of kernels (margins per class,
/// softmax, accumulate per class), so that the later ones find the rows in the cache: a multiple of
/// 16, about 32 KiB. Depends only on the shape of `x`.
std::size_t rows_per_tile(const MatrixView& x);

/// y += a · x over n floats.
void axpy(std::size_t n, float a, const float* x, float* y);
/// Σ x[i] · y[i] in double; the order is fixed.
double dot(std::size_t n, const float* x, const float* y);

/// out[i] = inputs[0][i] + inputs[1][i] + …, added in that order for every i, one pass over all
/// inputs: bitwise the same however the range is cut. `out` may be inputs[k] for any k.
void sum_in_order(std::span<const float* const> inputs, std::size_t n, float* out);
/// The same for doubles.
void sum_in_order(std::span<const double* const> inputs, std::size_t n, double* out);

/// k centroids prepared for `assign`: the k × d row-major floats, transposed and padded, and their
/// squared norms. Reusable: calling prepare() again for the same shape allocates nothing.
class Centroids {
 public:
  Centroids() = default;
  Centroids(const Centroids&) = delete;
  Centroids& operator=(const Centroids&) = delete;
  ~Centroids();
  /// centroids: k · d floats, copied. Throws std::bad_alloc.
  void prepare(const float* centroids, std::size_t k, std::size_t d);

  std::size_t k = 0;
  std::size_t d = 0;
  std::size_t padded_k = 0;         ///< k rounded up to a multiple of 16
  float* transposed = nullptr;      ///< d × padded_k, 64-byte aligned; padding is 0
  float* half_squared = nullptr;    ///< padded_k: ½‖c‖², +inf in the padding
  const double* squared = nullptr;  ///< padded_k: ‖c‖², 0 in the padding
  const float* rows = nullptr;      ///< k × d, the copy

 private:
  float* storage_ = nullptr;
  std::size_t capacity_ = 0;
};

/// One pass of k-means over the rows: finds each row's nearest centroid by squared Euclidean
/// distance (the lowest index among equals), adds the row to sums[nearest · d …] and 1 to
/// counts[nearest]. The sums are accurate to 1.3e-6 of Σ |x| for any number of rows and any data
/// (to 1e-7 unless a feature is constant). Returns Σ ‖x − c_nearest‖², computed from the
/// differences (dense) or in double (sparse), which avoids the cancellation of expanded squares.
/// The nearest centroid is chosen by ½‖c‖² − ⟨x, c⟩ in float, so centroids whose distances differ
/// by less than its rounding may be confused. 1 ≤ k < 2^24. A row with a NaN is assigned to
/// centroid 0. `nearest` (x.rows ids) and `distances` (x.rows squared distances) are written if not
/// null. `sums` and `counts` may be null; otherwise, for dense rows, `scratch` must be k · (d + 1)
/// floats of 0, and they are 0 again afterwards.
template <class Rows>
double assign(const Rows& x, const Centroids& centroids, double* sums, double* counts,
              float* scratch, std::uint32_t* nearest, float* distances);

/// Σ data[i] over `n` floats; benchmarks use it to measure this machine's read bandwidth.
float read_all(const float* data, std::size_t n);

}  // namespace lambdaml::tensor
