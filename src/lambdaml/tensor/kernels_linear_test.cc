#include <cmath>
#include <utility>
#include <vector>

#include "lambdaml/tensor/testing/kernels_test.h"

namespace lambdaml::tensor {
namespace {

std::size_t index_of(Loss loss) { return static_cast<std::size_t>(loss); }

class LinearKernels : public Kernels {};
LAMBDAML_FOR_EVERY_INSTRUCTION_SET(LinearKernels);

TEST_P(LinearKernels, MarginsAreInnerProductsPlusBias) {
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

TEST_P(LinearKernels, AMarginDependsOnItsRowAlone) {
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

TEST_P(LinearKernels, ANanStaysInItsRow) {
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

TEST_P(LinearKernels, AccumulateAddsWeightedRows) {
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

TEST_P(LinearKernels, SparseMarginsAndGradients) {
  check_sparse_linear(k().sparse16);
  check_sparse_linear(k().sparse32);
}

double logistic_loss(double s) {
  return s > 0 ? std::log1p(std::exp(-s)) : -s + std::log1p(std::exp(s));
}
double sigmoid(double z) {
  return z > 0 ? 1 / (1 + std::exp(-z)) : std::exp(z) / (1 + std::exp(z));
}

TEST_P(LinearKernels, LogisticLossAndResiduals) {
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
      k().losses[index_of(Loss::logistic)](n, labels.data(), z.data(), sums);
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

TEST_P(LinearKernels, SmallLogisticLossesAreNotRoundedAway) {
  std::vector<float> z(1000, 20.0F);
  const std::vector<float> labels(1000, 1.0F);
  double sums[3] = {};
  k().losses[index_of(Loss::logistic)](1000, labels.data(), z.data(), sums);
  EXPECT_NEAR(sums[0], 1000 * std::log1p(std::exp(-20.0)), 1e-6 * 1000 * std::exp(-20.0));
}

TEST_P(LinearKernels, WeightsMultiplyLossesAndResiduals) {
  for (std::size_t l = 0; l < kLosses; ++l)
    for (const std::size_t n : kSizes) {
      const std::vector<float> margins = normals(n, 12);
      Guarded z(margins);
      Guarded labels(n);
      Guarded weights(n);
      double expected[3] = {};
      std::vector<float> residuals(n);
      for (std::size_t i = 0; i < n; ++i) {
        labels.data()[i] = i % 3 == 0 ? 1.0F : 0.0F;
        weights.data()[i] = static_cast<float>(i % 4) * 0.75F;
        // Row by row by the loss without weights.
        double sums[3] = {};
        residuals[i] = margins[i];
        k().losses[l](1, labels.data() + i, &residuals[i], sums);
        residuals[i] *= weights[i];
        expected[0] += weights[i] * sums[0];
        expected[1] += residuals[i];
        expected[2] += sums[2];
      }
      double sums[3] = {};
      k().weighted_losses[l](n, labels.data(), weights.data(), z.data(), sums);
      ASSERT_NEAR(sums[0], expected[0], 2e-6 * std::abs(expected[0])) << "loss " << l;
      ASSERT_NEAR(sums[1], expected[1], 1e-6 * static_cast<double>(n + 1)) << "loss " << l;
      ASSERT_EQ(sums[2], expected[2]) << "loss " << l;
      for (std::size_t i = 0; i < n; ++i)
        ASSERT_NEAR(z[i], residuals[i], 1e-6 * (1 + std::abs(residuals[i]))) << "loss " << l;
    }
}

TEST_P(LinearKernels, ANanMarginShowsInTheLoss) {
  for (auto* loss : k().losses) {
    std::vector<float> z(100, 1.0F);
    z[37] = kNan;
    const std::vector<float> labels(100, 1.0F);
    double sums[3] = {};
    loss(100, labels.data(), z.data(), sums);
    EXPECT_TRUE(std::isnan(sums[0]));
  }
}

TEST_P(LinearKernels, SquaredHingeLossAndResiduals) {
  for (const std::size_t n : kSizes) {
    std::vector<float> margins = normals(n, 9);
    if (n > 2) margins[0] = 1, margins[1] = -1, margins[2] = 1e15F;
    Guarded z(margins);
    Guarded labels(n);
    for (std::size_t i = 0; i < n; ++i) labels.data()[i] = i % 3 == 0 ? 1.0F : 0.0F;
    double sums[3] = {};
    k().losses[index_of(Loss::squared_hinge)](n, labels.data(), z.data(), sums);
    double expected_loss = 0, expected_residuals = 0, sizes = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const double sign = 2.0 * labels[i] - 1;
      const double lack = std::max(0.0, 1 - sign * margins[i]);
      expected_loss += lack * lack;
      expected_residuals += -2 * sign * lack;
      sizes += 2 * lack;
      ASSERT_NEAR(z[i], -2 * sign * lack, 1e-6 * (1 + lack)) << "at " << margins[i];
    }
    ASSERT_NEAR(sums[0], expected_loss, 1e-6 * expected_loss);
    ASSERT_NEAR(sums[1], expected_residuals, 1e-6 * sizes);
  }
}

TEST_P(LinearKernels, SquaredLossAndResiduals) {
  for (const std::size_t n : kSizes) {
    const std::vector<float> margins = normals(n, 10);
    const std::vector<float> targets = normals(n, 11);
    Guarded z(margins);
    Guarded labels(targets);
    double sums[3] = {};
    k().losses[index_of(Loss::squared)](n, labels.data(), z.data(), sums);
    double expected_loss = 0, expected_residuals = 0, sizes = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const double error = static_cast<double>(margins[i]) - targets[i];
      expected_loss += error * error / 2;
      expected_residuals += error;
      sizes += std::abs(error);
      ASSERT_EQ(z[i], margins[i] - targets[i]);
    }
    ASSERT_NEAR(sums[0], expected_loss, 1e-6 * expected_loss);
    ASSERT_NEAR(sums[1], expected_residuals, 1e-6 * sizes);
    ASSERT_EQ(sums[2], 0);
  }
}

TEST_P(LinearKernels, HingeLossAndResiduals) {
  for (const std::size_t n : kSizes) {
    std::vector<float> margins = normals(n, 8);
    if (n > 2) margins[0] = 1, margins[1] = -1, margins[2] = 1e30F;
    Guarded z(margins);
    Guarded labels(n);
    for (std::size_t i = 0; i < n; ++i) labels.data()[i] = i % 3 == 0 ? 1.0F : 0.0F;
    double sums[3] = {};
    k().losses[index_of(Loss::hinge)](n, labels.data(), z.data(), sums);
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
  // Of residuals that cancel, the rounding of each remains.
  double sizes = 1;
  for (const float residual : expected.z) sizes += std::abs(residual);
  for (std::size_t i = 0; i < 3; ++i)
    ASSERT_NEAR(sums[i], expected.sums[i], 1e-6 * (sizes + std::abs(expected.sums[i])));
  // Float sums of `rows` terms; those of the squared hinge grow with the margins.
  double largest = 1;
  for (const float residual : expected.z) largest = std::max<double>(largest, std::abs(residual));
  for (std::size_t c = 0; c < gradient.size(); ++c)
    ASSERT_NEAR(gradient[c], expected.gradient[c],
                1e-6 * (1 + static_cast<double>(rows)) * largest);
}

TEST_P(LinearKernels, AddGradientIsMarginsLossAndAccumulate) {
  const auto& table = k();
  for (const std::size_t cols : {0, 1, 15, 16, 17, 28, 33, 64, 128, 129, 300})
    for (const std::size_t rows : {0, 1, 15, 63, 64, 65, 700}) {
      SCOPED_TRACE(testing::Message() << rows << " × " << cols);
      Guarded x(normals(rows * cols, 60));
      const std::vector<float> weights = normals(cols, 61);
      std::vector<float> labels(rows);
      for (std::size_t i = 0; i < rows; ++i) labels[i] = i % 3 == 0 ? 1.0F : 0.0F;
      for (std::size_t l = 0; l < kLosses; ++l) {
        Steps steps{std::vector<float>(rows), std::vector<float>(cols, 1.0F)};
        table.margins(x.data(), rows, cols, weights.data(), 0.3F, steps.z.data());
        table.losses[l](rows, labels.data(), steps.z.data(), steps.sums);
        table.accumulate(x.data(), rows, cols, steps.z.data(), steps.gradient.data());
        Guarded gradient(std::vector<float>(cols, 1.0F));
        double sums[3] = {1, 2, 3};
        table.add_gradient[l](x.data(), rows, cols, labels.data(), weights.data(), 0.3F,
                              gradient.data(), sums);
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
  for (std::size_t l = 0; l < kLosses; ++l) {
    Steps steps{std::vector<float>(view.rows), std::vector<float>(x.cols, 1.0F)};
    kernels.margins(view.offsets, view.indices, view.values, view.rows, weights.data(), 0.3F,
                    steps.z.data());
    table.losses[l](view.rows, labels.data(), steps.z.data(), steps.sums);
    kernels.accumulate(view.offsets, view.indices, view.values, view.rows, steps.z.data(),
                       steps.gradient.data());
    std::vector<float> gradient(x.cols, 1.0F);
    double sums[3] = {1, 2, 3};
    kernels.add_gradient[l](view.offsets, view.indices, view.values, view.rows, labels.data(),
                            weights.data(), 0.3F, gradient.data(), sums);
    expect_same(steps, gradient, sums, view.rows);
  }
}

TEST_P(LinearKernels, SparseAddGradientIsMarginsLossAndAccumulate) {
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

}  // namespace
}  // namespace lambdaml::tensor
