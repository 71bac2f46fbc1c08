#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lambdaml/base/rng.h"
#include "lambdaml/tensor/kernel_dispatch.h"
#include "lambdaml/tensor/kernels.h"

/// Helpers for the tests of the kernels.
namespace lambdaml::tensor {

inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
inline constexpr float kInfinity = std::numeric_limits<float>::infinity();
inline const std::vector<std::size_t> kSizes{0,  1,  2,  3,  4,  5,  7,  8,   9,   15,
                                             16, 17, 28, 31, 33, 64, 65, 100, 129, 1000};

/// Numbers that end right before an inaccessible page and are preceded by NaNs.
template <class Real>
class Guarded {
 public:
  explicit Guarded(std::size_t n) : n_(n) {
    const std::size_t page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    body_ = (n * sizeof(Real) + 64 + page - 1) / page * page;
    base_ = static_cast<char*>(
        ::mmap(nullptr, body_ + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (base_ == MAP_FAILED || ::mprotect(base_ + body_, page, PROT_NONE) != 0) std::abort();
    size_ = body_ + page;
    auto* all = reinterpret_cast<Real*>(base_);
    std::fill(all, all + body_ / sizeof(Real), std::numeric_limits<Real>::quiet_NaN());
    std::fill(begin(), begin() + n, Real{0});
  }
  explicit Guarded(const std::vector<Real>& values) : Guarded(values.size()) {
    std::copy(values.begin(), values.end(), begin());
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  ~Guarded() { ::munmap(base_, size_); }

  Real* begin() { return reinterpret_cast<Real*>(base_ + body_) - n_; }
  Real* data() { return begin(); }
  Real operator[](std::size_t i) { return begin()[i]; }

 private:
  std::size_t n_;
  std::size_t body_ = 0;
  std::size_t size_ = 0;
  char* base_ = nullptr;
};

Guarded(std::size_t)->Guarded<float>;

inline std::vector<float> normals(std::size_t n, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> out(n);
  for (float& x : out) x = static_cast<float>(rng.normal());
  return out;
}

inline std::vector<float> labels_of(std::size_t n) {
  std::vector<float> out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = i % 3 == 0 ? 1.0F : 0.0F;
  return out;
}

/// A sparse matrix of random rows, some of them empty, and the same matrix dense.
template <class Index>
struct Sparse {
  std::vector<std::uint64_t> offsets{0};
  std::vector<Index> indices;
  std::vector<float> values;
  std::vector<float> dense;
  std::size_t rows;
  std::size_t cols;

  Sparse(std::size_t row_count, std::size_t col_count, double share)
      : dense(row_count * col_count), rows(row_count), cols(col_count) {
    Rng rng(mix({row_count, col_count}));
    for (std::size_t i = 0; i < rows; ++i) {
      for (std::size_t c = 0; c < cols; ++c) {
        if (i % 7 == 3 || rng.uniform() >= share) continue;
        const auto value = static_cast<float>(rng.normal());
        indices.push_back(static_cast<Index>(c));
        values.push_back(value);
        dense[i * cols + c] = value;
      }
      offsets.push_back(indices.size());
    }
  }
  CsrView<Index> view() const {
    return {offsets.data(), indices.data(), values.data(), rows, cols};
  }
};

/// Σ a_i b_i and the bound on the error of a float sum of these products in any order.
struct Sum {
  double value = 0;
  double magnitude = 0;
  void add(double a, double b) {
    value += a * b;
    magnitude += std::abs(a * b);
  }
  double bound(std::size_t n) const {
    return magnitude * static_cast<double>(n + 2) * 0x1p-24 + 1e-30;
  }
};

struct LossOfRow {
  double loss;
  double residual;
};

/// The definitions of kernels.h.
inline LossOfRow loss_of(Loss loss, double z, double label) {
  const double sign = 2 * label - 1, s = sign * z, lack = std::max(0.0, 1 - s);
  switch (loss) {
    case Loss::logistic: {
      const double value = s > 0 ? std::log1p(std::exp(-s)) : -s + std::log1p(std::exp(s));
      const double p = z > 0 ? 1 / (1 + std::exp(-z)) : std::exp(z) / (1 + std::exp(z));
      return {value, p - label};
    }
    case Loss::hinge:
      return {lack, lack > 0 ? -sign : 0};
    case Loss::squared_hinge:
      return {lack * lack, -2 * sign * lack};
    default:
      return {(z - label) * (z - label) / 2, z - label};
  }
}

inline constexpr Loss kEveryLoss[] = {Loss::logistic, Loss::hinge, Loss::squared_hinge,
                                      Loss::squared};
static_assert(std::size(kEveryLoss) == kLosses);

/// Losses, residuals and correct rows are those of the definition, with and without weights.
/// `residual_error`: of a residual; `error`: of the sums, as a share of what is added up.
template <class Real>
void check_loss(Loss loss, const LossKernel<Real>* kernels, const std::vector<Real>& margins,
                double residual_error, double error) {
  const std::size_t n = margins.size();
  Guarded labels(labels_of(n)), weights(n);
  for (std::size_t i = 0; i < n; ++i) weights.data()[i] = static_cast<float>(i % 4) * 0.75F;
  for (const bool weighted : {false, true}) {
    Guarded<Real> z(margins);
    double sums[3] = {1, 2, 3};  // they grow
    kernels[static_cast<std::size_t>(loss)](n, labels.data(), weighted ? weights.data() : nullptr,
                                            z.data(), sums);
    Sum losses, residuals;
    double correct = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const double weight = weighted ? weights[i] : 1;
      const LossOfRow expected = loss_of(loss, margins[i], labels[i]);
      losses.add(weight, expected.loss);
      residuals.add(weight, expected.residual);
      if (loss != Loss::squared) correct += (margins[i] > 0) == (labels[i] == 1) ? 1 : 0;
      ASSERT_NEAR(z[i], weight * expected.residual,
                  residual_error * (1 + std::abs(weight * expected.residual)))
          << "loss " << static_cast<int>(loss) << " at " << margins[i];
    }
    ASSERT_NEAR(sums[0], 1 + losses.value, error * losses.magnitude + 1e-13)
        << "loss " << static_cast<int>(loss) << " of " << n;
    ASSERT_NEAR(sums[1], 2 + residuals.value, error * residuals.magnitude + 1e-13)
        << "loss " << static_cast<int>(loss) << " of " << n;
    ASSERT_EQ(sums[2], 3 + correct);
  }
}

/// A margin is the same wherever its row stands.
template <class Real>
void check_rows_alone(const LinearKernels<Real, const float*, std::size_t, std::size_t>& kernels) {
  for (const std::size_t cols : kSizes) {
    const std::size_t rows = 37;
    const std::vector<float> x = normals(rows * cols, 3), floats = normals(cols, 4);
    const std::vector<Real> weights(floats.begin(), floats.end());
    std::vector<Real> together(rows);
    kernels.margins(x.data(), rows, cols, weights.data(), Real{0.25}, together.data());
    for (std::size_t i = 0; i < rows; ++i) {
      Real alone = 0;
      kernels.margins(x.data() + i * cols, 1, cols, weights.data(), Real{0.25}, &alone);
      ASSERT_EQ(alone, together[i]) << cols << " columns, row " << i;
    }
  }
}

/// add_gradient over the rows `x` is its three steps, one after the other. `error`: what is left of
/// one, as a share of what is added up.
template <class Real, class... Rows>
void check_gradient(const LinearKernels<Real, Rows...>& kernels, const LossKernel<Real>* losses,
                    std::size_t rows, std::size_t cols, double error,
                    std::type_identity_t<Rows>... x) {
  const std::vector<float> floats = normals(cols, 61), labels = labels_of(rows);
  const std::vector<Real> weights(floats.begin(), floats.end());
  const auto bias = static_cast<Real>(0.3);
  for (std::size_t l = 0; l < kLosses; ++l) {
    std::vector<Real> z(rows), expected(cols, Real{1});
    Guarded<Real> gradient(std::vector<Real>(cols, Real{1}));
    double expected_sums[3] = {1, 2, 3}, sums[3] = {1, 2, 3};
    kernels.margins(x..., weights.data(), bias, z.data());
    losses[l](rows, labels.data(), nullptr, z.data(), expected_sums);
    kernels.accumulate(x..., z.data(), expected.data());
    kernels.add_gradient[l](x..., labels.data(), weights.data(), bias, gradient.data(), sums);
    // Of residuals that cancel, the rounding of each remains.
    double sizes = 1;
    for (const Real residual : z) sizes += std::abs(residual);
    for (std::size_t i = 0; i < 3; ++i)
      ASSERT_NEAR(sums[i], expected_sums[i], error * (sizes + std::abs(expected_sums[i])))
          << "loss " << l << ", " << rows << " × " << cols;
    for (std::size_t c = 0; c < cols; ++c)
      ASSERT_NEAR(gradient[c], expected[c], 10 * error * sizes)
          << "loss " << l << ", " << rows << " × " << cols;
  }
}

/// The tests that run for every instruction set of this machine.
class Kernels : public testing::TestWithParam<const KernelTable*> {
 protected:
  const KernelTable& k() const { return *GetParam(); }
};
#define LAMBDAML_FOR_EVERY_INSTRUCTION_SET(Suite)                                           \
  INSTANTIATE_TEST_SUITE_P(EveryInstructionSet, Suite, testing::ValuesIn(usable_kernels()), \
                           [](const auto& info) { return std::string(info.param->name); })

}  // namespace lambdaml::tensor
