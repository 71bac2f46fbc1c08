#include "lambdaml/tensor/kernels.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/rng.h"
#include "lambdaml/tensor/kernel_dispatch.h"

namespace lambdaml::tensor {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
const std::vector<std::size_t> kSizes{0,  1,  2,  3,  4,  5,  7,  8,   9,   15,
                                      16, 17, 28, 31, 33, 64, 65, 100, 129, 1000};

/// Floats that end where a page begins that may not be touched, and have NaNs before them.
class Guarded {
 public:
  explicit Guarded(std::size_t n) : n_(n) {
    const std::size_t page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    body_ = (n * sizeof(float) + 64 + page - 1) / page * page;
    base_ = static_cast<char*>(
        ::mmap(nullptr, body_ + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (base_ == MAP_FAILED || ::mprotect(base_ + body_, page, PROT_NONE) != 0) std::abort();
    size_ = body_ + page;
    auto* all = reinterpret_cast<float*>(base_);
    std::fill(all, all + body_ / sizeof(float), kNan);
    std::fill(begin(), begin() + n, 0.0F);
  }
  explicit Guarded(const std::vector<float>& values) : Guarded(values.size()) {
    std::copy(values.begin(), values.end(), begin());
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  ~Guarded() { ::munmap(base_, size_); }

  float* begin() { return reinterpret_cast<float*>(base_ + body_) - n_; }
  float* data() { return begin(); }
  float operator[](std::size_t i) { return begin()[i]; }

 private:
  std::size_t n_;
  std::size_t body_ = 0;
  std::size_t size_ = 0;
  char* base_ = nullptr;
};

std::vector<float> normals(std::size_t n, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> out(n);
  for (float& x : out) x = static_cast<float>(rng.normal());
  return out;
}

/// A sparse matrix of random rows, some of them empty, and the same densely.
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

class Kernels : public testing::TestWithParam<const KernelTable*> {
 protected:
  const KernelTable& k() const { return *GetParam(); }
};
INSTANTIATE_TEST_SUITE_P(EveryInstructionSet, Kernels, testing::ValuesIn(usable_kernels()),
                         [](const auto& info) { return std::string(info.param->name); });

TEST_P(Kernels, MarginsAreInnerProductsPlusBias) {
  for (const std::size_t cols : kSizes)
    for (const std::size_t rows : {0, 1, 3, 4, 5, 15, 16, 17, 37}) {
      Guarded x(normals(rows * cols, cols + 1));
      Guarded weights(normals(cols, 2));
      Guarded out(rows);
      k().margins(x.data(), rows, cols, weights.data(), 0.5F, out.data());
      for (std::size_t i = 0; i < rows; ++i) {
        Sum sum;
        sum.add(1, 0.5);
        for (std::size_t c = 0; c < cols; ++c) sum.add(x[i * cols + c], weights[c]);
        ASSERT_NEAR(out[i], sum.value, sum.bound(cols)) << rows << " × " << cols << ", row " << i;
      }
    }
}

TEST_P(Kernels, AMarginDependsOnItsRowAlone) {
  for (const std::size_t cols : kSizes) {
    const std::size_t rows = 37;
    const std::vector<float> x = normals(rows * cols, 3);
    const std::vector<float> weights = normals(cols, 4);
    std::vector<float> together(rows);
    k().margins(x.data(), rows, cols, weights.data(), 0.25F, together.data());
    for (std::size_t i = 0; i < rows; ++i) {
      float alone = 0;
      k().margins(x.data() + i * cols, 1, cols, weights.data(), 0.25F, &alone);
      ASSERT_EQ(alone, together[i]) << cols << " columns, row " << i;
    }
  }
}

TEST_P(Kernels, ANanStaysInItsRow) {
  for (const std::size_t cols : {1, 15, 17, 28, 200}) {
    const std::size_t rows = 20;
    std::vector<float> x = normals(rows * cols, 3);
    x[7 * cols + cols - 1] = kNan;
    const std::vector<float> weights = normals(cols, 4);
    std::vector<float> out(rows);
    k().margins(x.data(), rows, cols, weights.data(), 0, out.data());
    for (std::size_t i = 0; i < rows; ++i) EXPECT_EQ(std::isnan(out[i]), i == 7) << cols;
  }
}

TEST_P(Kernels, AccumulateAddsWeightedRows) {
  for (const std::size_t cols : kSizes)
    for (const std::size_t rows : {0, 1, 3, 4, 5, 17, 130}) {
      Guarded x(normals(rows * cols, cols + 1));
      Guarded residuals(normals(rows, 2));
      Guarded gradient(normals(cols, 3));
      const std::vector<float> before(gradient.data(), gradient.data() + cols);
      k().accumulate(x.data(), rows, cols, residuals.data(), gradient.data());
      for (std::size_t c = 0; c < cols; ++c) {
        Sum sum;
        sum.add(1, before[c]);
        for (std::size_t i = 0; i < rows; ++i) sum.add(x[i * cols + c], residuals[i]);
        ASSERT_NEAR(gradient[c], sum.value, sum.bound(rows)) << rows << " × " << cols;
      }
    }
}

template <class Index>
void check_sparse_linear(const SparseKernels<Index>& kernels) {
  for (const std::size_t cols : {1, 17, 1000}) {
    const Sparse<Index> x(40, cols, 0.3);
    const std::vector<float> weights = normals(cols, 5);
    const std::vector<float> residuals = normals(x.rows, 6);
    std::vector<float> out(x.rows);
    std::vector<float> gradient(cols, 1.0F);
    // A slice: its offsets do not begin at 0.
    const auto view = x.view().slice(2, x.rows);
    kernels.margins(view.offsets, view.indices, view.values, view.rows, weights.data(), 0.5F,
                    out.data() + 2);
    kernels.accumulate(view.offsets, view.indices, view.values, view.rows, residuals.data() + 2,
                       gradient.data());
    std::vector<Sum> expected(cols);
    for (std::size_t i = 2; i < x.rows; ++i) {
      Sum sum;
      sum.add(1, 0.5);
      for (std::size_t c = 0; c < cols; ++c) {
        sum.add(x.dense[i * cols + c], weights[c]);
        expected[c].add(x.dense[i * cols + c], residuals[i]);
      }
      ASSERT_NEAR(out[i], sum.value, sum.bound(cols)) << "row " << i;
    }
    for (std::size_t c = 0; c < cols; ++c)
      ASSERT_NEAR(gradient[c], expected[c].value + 1, expected[c].bound(x.rows) + 1e-5);
  }
}

TEST_P(Kernels, SparseMarginsAndGradients) {
  check_sparse_linear(k().sparse16);
  check_sparse_linear(k().sparse32);
}

double logistic_loss(double s) {
  return s > 0 ? std::log1p(std::exp(-s)) : -s + std::log1p(std::exp(s));
}
double sigmoid(double z) {
  return z > 0 ? 1 / (1 + std::exp(-z)) : std::exp(z) / (1 + std::exp(z));
}

TEST_P(Kernels, LogisticLossAndResiduals) {
  const std::vector<float> special{0.0F, -0.0F, 1e-30F, -1e-30F, 1e-4F, -1e-4F, 1,     -1,
                                   16,   -16,   30,     -30,     86.9F, -86.9F, 88,    -88,
                                   104,  -104,  1e4F,   -1e4F,   1e30F, -1e30F, 3e38F, -3e38F};
  for (const std::size_t n : kSizes) {
    for (const float scale : {0.0F, 0.01F, 1.0F, 20.0F}) {
      std::vector<float> margins = normals(n, 7);
      for (float& z : margins) z *= scale;
      if (scale == 0)
        for (std::size_t i = 0; i < n; ++i) margins[i] = special[i % special.size()];
      Guarded z(margins);
      Guarded labels(n);
      for (std::size_t i = 0; i < n; ++i) labels.data()[i] = (i * 7 / 5) % 2 == 0 ? 1.0F : 0.0F;
      double sums[3] = {10, 20, 100};  // loss, residuals, correct: they grow
      k().logistic(n, labels.data(), z.data(), sums);
      double expected_loss = 10;
      double expected_residuals = 20;
      double expected_correct = 100;
      for (std::size_t i = 0; i < n; ++i) {
        const double s = (2.0 * labels[i] - 1) * margins[i];
        expected_loss += logistic_loss(s);
        expected_residuals += sigmoid(margins[i]) - labels[i];
        expected_correct += (margins[i] > 0) == (labels[i] == 1) ? 1 : 0;
        ASSERT_NEAR(z[i], sigmoid(margins[i]) - labels[i], 3e-7) << "at " << margins[i];
      }
      ASSERT_NEAR(sums[0], expected_loss, 2e-6 * (expected_loss - 10) + 1e-13)
          << n << " × " << scale;
      ASSERT_NEAR(sums[1], expected_residuals, 3e-7 * static_cast<double>(n) + 1e-13);
      ASSERT_EQ(sums[2], expected_correct);
    }
  }
}

TEST_P(Kernels, SmallLogisticLossesAreNotRoundedAway) {
  std::vector<float> z(1000, 20.0F);
  const std::vector<float> labels(1000, 1.0F);
  double sums[3] = {};
  k().logistic(1000, labels.data(), z.data(), sums);
  EXPECT_NEAR(sums[0], 1000 * std::log1p(std::exp(-20.0)), 1e-6 * 1000 * std::exp(-20.0));
}

TEST_P(Kernels, ANanMarginShowsInTheLoss) {
  for (auto* loss : {k().logistic, k().hinge}) {
    std::vector<float> z(100, 1.0F);
    z[37] = kNan;
    const std::vector<float> labels(100, 1.0F);
    double sums[3] = {};
    loss(100, labels.data(), z.data(), sums);
    EXPECT_TRUE(std::isnan(sums[0]));
  }
}

TEST_P(Kernels, HingeLossAndResiduals) {
  for (const std::size_t n : kSizes) {
    std::vector<float> margins = normals(n, 8);
    if (n > 2) margins[0] = 1, margins[1] = -1, margins[2] = 1e30F;
    Guarded z(margins);
    Guarded labels(n);
    for (std::size_t i = 0; i < n; ++i) labels.data()[i] = i % 3 == 0 ? 1.0F : 0.0F;
    double sums[3] = {};
    k().hinge(n, labels.data(), z.data(), sums);
    double expected_loss = 0;
    double expected_residuals = 0;
    double expected_correct = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const double sign = 2.0 * labels[i] - 1;
      const double lack = 1 - sign * margins[i];
      expected_loss += std::max(0.0, lack);
      expected_correct += (margins[i] > 0) == (labels[i] == 1) ? 1 : 0;
      expected_residuals += lack > 0 ? -sign : 0;
      ASSERT_EQ(z[i], lack > 0 ? -sign : 0) << "at " << margins[i];
    }
    ASSERT_NEAR(sums[0], expected_loss, 1e-6 * expected_loss);
    ASSERT_EQ(sums[1], expected_residuals);
    ASSERT_EQ(sums[2], expected_correct);
  }
}

/// What add_gradient must agree with: its three steps, one after the other.
struct Steps {
  std::vector<float> z;
  std::vector<float> gradient;
  double sums[3] = {1, 2, 3};
};

void expect_same(const Steps& expected, const std::vector<float>& gradient, const double* sums,
                 std::size_t rows) {
  for (std::size_t i = 0; i < 3; ++i)
    ASSERT_NEAR(sums[i], expected.sums[i], 1e-6 * (1 + std::abs(expected.sums[i])));
  for (std::size_t c = 0; c < gradient.size(); ++c)
    ASSERT_NEAR(gradient[c], expected.gradient[c], 1e-6 * (1 + static_cast<double>(rows)));
}

TEST_P(Kernels, AddGradientIsMarginsLossAndAccumulate) {
  const auto& table = k();
  for (const std::size_t cols : {0, 1, 15, 16, 17, 28, 33, 64, 128, 129, 300})
    for (const std::size_t rows : {0, 1, 15, 63, 64, 65, 700}) {
      SCOPED_TRACE(testing::Message() << rows << " × " << cols);
      Guarded x(normals(rows * cols, 60));
      const std::vector<float> weights = normals(cols, 61);
      std::vector<float> labels(rows);
      for (std::size_t i = 0; i < rows; ++i) labels[i] = i % 3 == 0 ? 1.0F : 0.0F;
      for (const auto& [loss, add] : {std::pair{table.logistic, table.add_logistic_gradient},
                                      std::pair{table.hinge, table.add_hinge_gradient}}) {
        Steps steps{std::vector<float>(rows), std::vector<float>(cols, 1.0F)};
        table.margins(x.data(), rows, cols, weights.data(), 0.3F, steps.z.data());
        loss(rows, labels.data(), steps.z.data(), steps.sums);
        table.accumulate(x.data(), rows, cols, steps.z.data(), steps.gradient.data());
        Guarded gradient(std::vector<float>(cols, 1.0F));
        double sums[3] = {1, 2, 3};
        add(x.data(), rows, cols, labels.data(), weights.data(), 0.3F, gradient.data(), sums);
        expect_same(steps, {gradient.data(), gradient.data() + cols}, sums, rows);
      }
    }
}

template <class Index>
void check_sparse_gradient(const KernelTable& table, const SparseKernels<Index>& kernels) {
  const Sparse<Index> x(200, 300, 0.1);
  const auto view = x.view().slice(3, x.rows);
  const std::vector<float> weights = normals(x.cols, 61);
  std::vector<float> labels(view.rows);
  for (std::size_t i = 0; i < view.rows; ++i) labels[i] = i % 3 == 0 ? 1.0F : 0.0F;
  for (const auto& [loss, add] : {std::pair{table.logistic, kernels.add_logistic_gradient},
                                  std::pair{table.hinge, kernels.add_hinge_gradient}}) {
    Steps steps{std::vector<float>(view.rows), std::vector<float>(x.cols, 1.0F)};
    kernels.margins(view.offsets, view.indices, view.values, view.rows, weights.data(), 0.3F,
                    steps.z.data());
    loss(view.rows, labels.data(), steps.z.data(), steps.sums);
    kernels.accumulate(view.offsets, view.indices, view.values, view.rows, steps.z.data(),
                       steps.gradient.data());
    std::vector<float> gradient(x.cols, 1.0F);
    double sums[3] = {1, 2, 3};
    add(view.offsets, view.indices, view.values, view.rows, labels.data(), weights.data(), 0.3F,
        gradient.data(), sums);
    expect_same(steps, gradient, sums, view.rows);
  }
}

TEST_P(Kernels, SparseAddGradientIsMarginsLossAndAccumulate) {
  check_sparse_gradient(k(), k().sparse16);
  check_sparse_gradient(k(), k().sparse32);
}

TEST(PublicKernels, CallTheChosenOnes) {
  const DenseView x{nullptr, 0, 3};
  std::vector<float> gradient(3, 1.0F);
  const LossSums none = add_gradient(Loss::hinge, x, nullptr, gradient.data(), 0, gradient.data());
  EXPECT_EQ(none.loss, 0);
  const std::vector<float> row{1, 2, 3};
  const std::vector<float> weights{1, 1, 1};
  const float label = 0;
  const DenseView one{row.data(), 1, 3};
  // z = 6.5, s = −6.5: loss 7.5, residual 1, wrong.
  const LossSums hinged =
      add_gradient(Loss::hinge, one, &label, weights.data(), 0.5F, gradient.data());
  EXPECT_EQ(hinged.loss, 7.5);
  EXPECT_EQ(hinged.residuals, 1);
  EXPECT_EQ(hinged.correct, 0);
  EXPECT_THAT(gradient, testing::ElementsAre(2, 3, 4));
  float z = 6.5F;
  double correct = 1;
  EXPECT_EQ(hinge(1, &label, &z, correct), 7.5);
  EXPECT_EQ(z, 1);
  EXPECT_EQ(correct, 1);
  z = 0;
  EXPECT_NEAR(logistic(1, &label, &z, correct), std::log(2.0), 1e-7);
  EXPECT_EQ(z, 0.5F);
  EXPECT_EQ(correct, 2);
  z = 6.5F;
  EXPECT_NEAR(apply_loss(Loss::logistic, 1, &label, &z).loss, logistic_loss(-6.5), 1e-5);
}

TEST_P(Kernels, AxpyAndDot) {
  for (const std::size_t n : kSizes) {
    Guarded x(normals(n, 9));
    Guarded y(normals(n, 10));
    const std::vector<float> before(y.data(), y.data() + n);
    Sum expected;
    for (std::size_t i = 0; i < n; ++i) expected.add(x[i], y[i]);
    EXPECT_NEAR(k().dot(n, x.data(), y.data()), expected.value, 1e-12 * (1 + expected.magnitude));
    k().axpy(n, -1.5F, x.data(), y.data());
    for (std::size_t i = 0; i < n; ++i)
      ASSERT_NEAR(y[i], before[i] - 1.5 * x[i],
                  2e-7 * (std::abs(before[i]) + 1.5 * std::abs(x[i])));
  }
}

template <class T, class Sum>
void check_sum_in_order(Sum sum) {
  for (const std::size_t count : {0, 1, 2, 3, 8, 9, 20})
    for (const std::size_t n : kSizes) {
      std::vector<std::vector<T>> inputs;
      std::vector<const T*> pointers;
      for (std::size_t i = 0; i < count; ++i) {
        const std::vector<float> values = normals(n, 20 + i);
        inputs.emplace_back(values.begin(), values.end());
      }
      for (const auto& input : inputs) pointers.push_back(input.data());
      std::vector<T> expected(n);
      for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < count; ++j)
          expected[i] = j == 0 ? inputs[j][i] : expected[i] + inputs[j][i];
      std::vector<T> out(n, kNan);
      sum(pointers.data(), count, n, out.data());
      ASSERT_EQ(out, expected);
      std::fill(out.begin(), out.end(), kNan);
      for (std::size_t begin = 0, size = 1; begin < n; begin += size, size += 5) {  // any cut
        const std::size_t piece = std::min(size, n - begin);
        std::vector<const T*> cut;
        for (const T* input : pointers) cut.push_back(input + begin);
        sum(cut.data(), count, piece, out.data() + begin);
      }
      ASSERT_EQ(out, expected);
      if (count == 0) continue;
      sum(pointers.data(), count, n, inputs[count / 2].data());
      ASSERT_EQ(inputs[count / 2], expected) << "in place";
    }
}

TEST_P(Kernels, SumsAreTakenInOrderBitForBit) {
  check_sum_in_order<float>(k().sum_floats);
  check_sum_in_order<double>(k().sum_doubles);
}

TEST_P(Kernels, ReadAllReadsAll) {
  for (const std::size_t n : kSizes) {
    Guarded ones(std::vector<float>(n, 1.0F));
    EXPECT_EQ(k().read_all(ones.data(), n), static_cast<float>(n));
  }
}

/// What assign() must find, in double.
struct Expected {
  std::vector<double> squared;  // rows × k
  std::size_t k;
  double of(std::size_t row, std::size_t j) const { return squared[row * k + j]; }
};

Expected distances(const float* x, std::size_t rows, const std::vector<float>& centroids,
                   std::size_t k, std::size_t d) {
  Expected expected{{}, k};
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < k; ++j) {
      double sum = 0;
      for (std::size_t f = 0; f < d; ++f) {
        const double difference = double{x[i * d + f]} - double{centroids[j * d + f]};
        sum += difference * difference;
      }
      expected.squared.push_back(sum);
    }
  return expected;
}

CentroidTable table_of(const Centroids& c) {
  return {c.k, c.d, c.padded_k, c.transposed, c.half_squared, c.squared, c.rows};
}

/// Runs `assign` with all outputs and checks them against the distances in double.
template <class Assign>
void check_assign(const std::vector<float>& x, std::size_t rows, std::size_t k, std::size_t d,
                  Assign assign) {
  SCOPED_TRACE(testing::Message() << rows << " rows, k = " << k << ", d = " << d);
  const std::vector<float> centroids = normals(k * d, 31);
  Centroids prepared;
  prepared.prepare(centroids.data(), k, d);
  std::vector<float> sums(k * d, 1.0F);
  std::vector<double> counts(k, 2.0);
  std::vector<std::uint32_t> nearest(rows, 12345);
  Guarded squared(rows);
  const double inertia = assign(
      table_of(prepared), AssignOutput{sums.data(), counts.data(), nearest.data(), squared.data()});
  const Expected expected = distances(x.data(), rows, centroids, k, d);
  std::vector<double> expected_sums(k * d, 1.0);
  std::vector<double> expected_counts(k, 2.0);
  double expected_inertia = 0;
  for (std::size_t i = 0; i < rows; ++i) {
    const std::uint32_t found = nearest[i];
    ASSERT_LT(found, k);
    double least = kInfinity;
    for (std::size_t j = 0; j < k; ++j) least = std::min(least, expected.of(i, j));
    ASSERT_LE(expected.of(i, found), least + 1e-5 * (1 + least)) << "row " << i;
    ASSERT_NEAR(squared[i], expected.of(i, found), 1e-6 * (1 + expected.of(i, found)));
    expected_inertia += expected.of(i, found);
    expected_counts[found] += 1;
    for (std::size_t f = 0; f < d; ++f) expected_sums[found * d + f] += x[i * d + f];
  }
  EXPECT_NEAR(inertia, expected_inertia, 1e-6 * (1 + expected_inertia));
  EXPECT_EQ(counts, expected_counts);
  for (std::size_t i = 0; i < k * d; ++i) ASSERT_NEAR(sums[i], expected_sums[i], 1e-4);
}

TEST_P(Kernels, AssignFindsTheNearest) {
  for (const std::size_t d : {1, 3, 4, 15, 16, 17, 28, 33, 64, 65, 130, 300})
    for (const std::size_t centroids : {1, 2, 7, 10, 16, 17, 65, 100, 150})
      for (const std::size_t rows : {0, 1, 16, 17, 31, 33, 70}) {
        if (rows * centroids * d > 400'000) continue;
        const std::vector<float> values = normals(rows * d, 30);
        Guarded x(values);
        check_assign(values, rows, centroids, d,
                     [&](const CentroidTable& c, const AssignOutput& out) {
                       return k().assign(x.data(), rows, c, out);
                     });
      }
}

TEST_P(Kernels, SparseAssignFindsTheNearest) {
  for (const std::size_t d : {1, 20, 300})
    for (const std::size_t centroids : {1, 7, 16, 17, 100}) {
      const Sparse<std::uint16_t> narrow(50, d, 0.3);
      const Sparse<std::uint32_t> wide(50, d, 0.3);
      const auto run = [](const auto& x, const auto& kernels) {
        return [&](const CentroidTable& c, const AssignOutput& out) {
          return kernels.assign(x.offsets.data(), x.indices.data(), x.values.data(), x.rows, c,
                                out);
        };
      };
      check_assign(narrow.dense, 50, centroids, d, run(narrow, k().sparse16));
      check_assign(wide.dense, 50, centroids, d, run(wide, k().sparse32));
    }
}

TEST_P(Kernels, AmongEqualsTheLowestCentroidWins) {
  // Whole numbers: every product and sum is exact.
  for (const std::size_t centroids : {2, 10, 40, 100, 200}) {
    const std::size_t d = 5;
    const std::size_t rows = 40;
    Rng rng(centroids);
    std::vector<float> c(centroids * d);
    for (float& v : c) v = static_cast<float>(rng.below(2));
    Sparse<std::uint32_t> x(rows, d, 0.6);
    for (std::size_t i = 0; i < x.values.size(); ++i) x.values[i] = static_cast<float>(i % 2 + 1);
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t e = x.offsets[i]; e < x.offsets[i + 1]; ++e)
        x.dense[i * d + x.indices[e]] = x.values[e];
    const Expected expected = distances(x.dense.data(), rows, c, centroids, d);
    Centroids prepared;
    prepared.prepare(c.data(), centroids, d);
    std::vector<std::uint32_t> dense(rows);
    std::vector<std::uint32_t> sparse(rows);
    k().assign(x.dense.data(), rows, table_of(prepared), {nullptr, nullptr, dense.data(), nullptr});
    k().sparse32.assign(x.offsets.data(), x.indices.data(), x.values.data(), rows,
                        table_of(prepared), {nullptr, nullptr, sparse.data(), nullptr});
    for (std::size_t i = 0; i < rows; ++i) {
      std::size_t lowest = 0;
      for (std::size_t j = 1; j < centroids; ++j)
        if (expected.of(i, j) < expected.of(i, lowest)) lowest = j;
      EXPECT_EQ(dense[i], lowest);
      EXPECT_EQ(sparse[i], lowest);
    }
  }
}

TEST_P(Kernels, AnAssignmentDependsOnItsRowAlone) {
  const std::size_t rows = 70;
  const std::size_t d = 28;
  const std::vector<float> x = normals(rows * d, 40);
  const std::vector<float> centroids = normals(10 * d, 41);
  Centroids c;
  c.prepare(centroids.data(), 10, d);
  std::vector<float> together(rows);
  k().assign(x.data(), rows, table_of(c), {nullptr, nullptr, nullptr, together.data()});
  for (std::size_t i = 0; i < rows; ++i) {
    float alone = 0;
    k().assign(x.data() + i * d, 1, table_of(c), {nullptr, nullptr, nullptr, &alone});
    ASSERT_EQ(alone, together[i]);
  }
}

TEST_P(Kernels, RowsBeyondFloatStillGetACentroidThatIs) {
  std::vector<float> x(20 * 3, 3e38F);
  x[4] = kNan;
  const std::vector<float> centroids{3e38F, 3e38F, 3e38F, -3e38F, 1, 2};
  Centroids c;
  c.prepare(centroids.data(), 2, 3);
  std::vector<std::uint32_t> nearest(20, 99);
  k().assign(x.data(), 20, table_of(c), {nullptr, nullptr, nearest.data(), nullptr});
  EXPECT_THAT(nearest, testing::Each(testing::Lt(2U)));
}

TEST(Centroids, AreReusedForOtherShapes) {
  Centroids c;
  for (const auto& [k, d] : {std::pair{3, 2}, std::pair{40, 7}, std::pair{1, 1}}) {
    const std::vector<float> values = normals(static_cast<std::size_t>(k * d), 50);
    c.prepare(values.data(), static_cast<std::size_t>(k), static_cast<std::size_t>(d));
    EXPECT_EQ(c.padded_k % 16, 0U);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(c.transposed) % 64, 0U);
    double squared = 0;
    for (int f = 0; f < d; ++f) {
      EXPECT_EQ(c.transposed[static_cast<std::size_t>(f) * c.padded_k],
                values[static_cast<std::size_t>(f)]);
      squared += double{values[static_cast<std::size_t>(f)]} * values[static_cast<std::size_t>(f)];
    }
    EXPECT_FLOAT_EQ(c.half_squared[0], static_cast<float>(squared / 2));
    EXPECT_EQ(c.half_squared[c.padded_k - 1], kInfinity);
  }
}

TEST(Dispatch, PortableIsAlwaysThere) {
  const auto usable = usable_kernels();
  EXPECT_STREQ(usable.back()->name, "portable");
  EXPECT_EQ(&kernels_named(""), usable.front());
  for (const KernelTable* table : usable) EXPECT_EQ(&kernels_named(table->name), table);
}

TEST(Dispatch, AnUnknownNameSaysWhatThereIs) {
  try {
    kernels_named("avx1024");
    FAIL() << "took an instruction set that is none";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    EXPECT_THAT(error.what(), testing::HasSubstr("'avx1024'"));
    EXPECT_THAT(error.what(), testing::HasSubstr("portable"));
  }
}

TEST(DispatchDeathTest, TheEnvironmentDecides) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto names = [](const char* isa) {
    ::setenv("LAMBDAML_ISA", isa, 1);
    try {
      float one = 1;
      sum_in_order(std::span<const float* const>{}, 1, &one);
      std::fprintf(stderr, "runs %s\n", std::string(instruction_set()).c_str());
    } catch (const Error& error) {
      std::fprintf(stderr, "%s\n", error.what());
    }
    std::_Exit(0);
  };
  EXPECT_EXIT(names("portable"), testing::ExitedWithCode(0), "runs portable");
  EXPECT_EXIT(names("mmx"), testing::ExitedWithCode(0), "LAMBDAML_ISA is 'mmx'");
}

TEST(Tiles, FitTheCacheAndNeverVanish) {
  EXPECT_EQ(rows_per_tile(DenseView{nullptr, 1000, 28}) % 16, 0U);
  EXPECT_GE(rows_per_tile(DenseView{nullptr, 1000, 28}), 64U);
  EXPECT_EQ(rows_per_tile(DenseView{nullptr, 3, 1'000'000}), 16U);
  EXPECT_GE(rows_per_tile(DenseView{nullptr, 0, 0}), 16U);
  const Sparse<std::uint16_t> x(1000, 50, 0.2);
  EXPECT_GT(rows_per_tile(x.view()), rows_per_tile(DenseView{nullptr, 1000, 50}));
}

}  // namespace
}  // namespace lambdaml::tensor
