#include <cmath>
#include <utility>
#include <vector>

#include "lambdaml/tensor/testing/kernels_test.h"

namespace lambdaml::tensor {
namespace {

std::size_t index_of(Loss loss) { return static_cast<std::size_t>(loss); }

class FloatKernels : public Kernels {};
LAMBDAML_FOR_EVERY_INSTRUCTION_SET(FloatKernels);

TEST_P(FloatKernels, MarginsAreInnerProductsPlusBias) {
  for (const std::size_t cols : kSizes)
    for (const std::size_t rows : {0, 1, 3, 4, 5, 15, 16, 17, 37}) {
      Guarded x(normals(rows * cols, cols + 1));
      Guarded weights(normals(cols, 2));
      Guarded out(rows);
      k().dense.floats.margins(x.data(), rows, cols, weights.data(), 0.5F, out.data());
      for (std::size_t i = 0; i < rows; ++i) {
        Sum sum;
        sum.add(1, 0.5);
        for (std::size_t c = 0; c < cols; ++c) sum.add(x[i * cols + c], weights[c]);
        ASSERT_NEAR(out[i], sum.value, sum.bound(cols)) << rows << " × " << cols << ", row " << i;
      }
    }
}

TEST_P(FloatKernels, AMarginDependsOnItsRowAlone) { check_rows_alone(k().dense.floats); }

TEST_P(FloatKernels, ANanStaysInItsRow) {
  for (const std::size_t cols : {1, 15, 17, 28, 200}) {
    const std::size_t rows = 20;
    std::vector<float> x = normals(rows * cols, 3);
    x[7 * cols + cols - 1] = kNan;
    const std::vector<float> weights = normals(cols, 4);
    std::vector<float> out(rows);
    k().dense.floats.margins(x.data(), rows, cols, weights.data(), 0, out.data());
    for (std::size_t i = 0; i < rows; ++i) EXPECT_EQ(std::isnan(out[i]), i == 7) << cols;
  }
}

TEST_P(FloatKernels, AccumulateAddsWeightedRows) {
  for (const std::size_t cols : kSizes)
    for (const std::size_t rows : {0, 1, 3, 4, 5, 17, 130}) {
      Guarded x(normals(rows * cols, cols + 1));
      Guarded residuals(normals(rows, 2));
      Guarded gradient(normals(cols, 3));
      const std::vector<float> before(gradient.data(), gradient.data() + cols);
      k().dense.floats.accumulate(x.data(), rows, cols, residuals.data(), gradient.data());
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
    kernels.floats.margins(view.offsets, view.indices, view.values, view.rows, weights.data(), 0.5F,
                           out.data() + 2);
    kernels.floats.accumulate(view.offsets, view.indices, view.values, view.rows,
                              residuals.data() + 2, gradient.data());
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

TEST_P(FloatKernels, SparseMarginsAndGradients) {
  check_sparse_linear(k().sparse16);
  check_sparse_linear(k().sparse32);
}

/// Of a residual, and of sums; see kernels.h.
constexpr double kResidualError = 3e-7, kSumError = 2e-6;

TEST_P(FloatKernels, LossesAndResidualsAreThoseOfTheirDefinition) {
  for (const float scale : {0.01F, 1.0F, 20.0F})
    for (const std::size_t n : kSizes) {
      std::vector<float> margins = normals(n, 7);
      for (float& z : margins) z *= scale;
      if (n > 2) margins[0] = 1, margins[1] = -1, margins[2] = 1e15F;
      for (const Loss loss : kEveryLoss)
        check_loss(loss, k().losses, margins, kResidualError, kSumError);
    }
}

TEST_P(FloatKernels, LogisticLossesOfExtremeMargins) {
  const std::vector<float> special{0.0F, -0.0F, 1e-30F, -1e-30F, 1e-4F, -1e-4F, 1,       -1,
                                   16,   -16,   30,     -30,     86.9F, -86.9F, 88,      -88,
                                   104,  -104,  1e4F,   -1e4F,   1e30F, -1e30F, 1.5e38F, -1.5e38F};
  for (const std::size_t n : kSizes) {
    std::vector<float> margins(n);
    for (std::size_t i = 0; i < n; ++i) margins[i] = special[i % special.size()];
    check_loss(Loss::logistic, k().losses, margins, kResidualError, kSumError);
  }
}

TEST_P(FloatKernels, SmallLogisticLossesAreNotRoundedAway) {
  std::vector<float> z(1000, 20.0F);
  const std::vector<float> labels(1000, 1.0F);
  double sums[3] = {};
  k().losses[index_of(Loss::logistic)](1000, labels.data(), nullptr, z.data(), sums);
  EXPECT_NEAR(sums[0], 1000 * std::log1p(std::exp(-20.0)), 1e-6 * 1000 * std::exp(-20.0));
}

TEST_P(FloatKernels, ANanMarginShowsInTheLoss) {
  for (auto* loss : k().losses) {
    std::vector<float> z(100, 1.0F);
    z[37] = kNan;
    const std::vector<float> labels(100, 1.0F);
    double sums[3] = {};
    loss(100, labels.data(), nullptr, z.data(), sums);
    EXPECT_TRUE(std::isnan(sums[0]));
  }
}

/// What is left of an error in float, as a share of what is added up.
constexpr double kError = 1e-6;

TEST_P(FloatKernels, AddGradientIsMarginsLossAndAccumulate) {
  for (const std::size_t cols : {0, 1, 15, 16, 17, 28, 33, 64, 128, 129, 300})
    for (const std::size_t rows : {0, 1, 15, 63, 64, 65, 700}) {
      Guarded x(normals(rows * cols, 60));
      check_gradient(k().dense.floats, k().losses, rows, cols, kError, x.data(), rows, cols);
    }
}

template <class Index>
void check_sparse_gradient(const KernelTable& table, const SparseKernels<Index>& kernels) {
  const Sparse<Index> x(200, 300, 0.1);
  const auto view = x.view().slice(3, x.rows);
  check_gradient(kernels.floats, table.losses, view.rows, x.cols, kError, view.offsets,
                 view.indices, view.values, view.rows);
}

TEST_P(FloatKernels, SparseAddGradientIsMarginsLossAndAccumulate) {
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
  EXPECT_NEAR(apply_loss(Loss::logistic, 1, &label, nullptr, &z).loss,
              loss_of(Loss::logistic, 6.5, 0).loss, 1e-5);
  z = 0;
  const LossSums undecided = apply_loss(Loss::logistic, 1, &label, nullptr, &z);
  EXPECT_NEAR(undecided.loss, std::log(2.0), 1e-7);
  EXPECT_EQ(undecided.correct, 1);
  EXPECT_EQ(z, 0.5F);
}

}  // namespace
}  // namespace lambdaml::tensor
