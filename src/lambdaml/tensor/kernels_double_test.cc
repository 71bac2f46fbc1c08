// The kernels of linear models in double.
#include <cmath>
#include <vector>

#include "lambdaml/tensor/testing/kernels_test.h"

namespace lambdaml::tensor {
namespace {

/// What is left of an error in double, as a share of what is added up.
constexpr double kExact = 1e-14;

class DoubleKernels : public Kernels {};
LAMBDAML_FOR_EVERY_INSTRUCTION_SET(DoubleKernels);

std::vector<double> doubles(std::size_t n, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<double> out(n);
  for (double& x : out) x = rng.normal();
  return out;
}

TEST_P(DoubleKernels, MarginsAndGradientsAreExactToTheLastDigits) {
  for (const std::size_t cols : kSizes)
    for (const std::size_t rows : {0, 1, 2, 3, 17}) {
      Guarded x(normals(rows * cols, cols + 1));
      Guarded<double> weights(doubles(cols, 2)), residuals(doubles(rows, 3)), out(rows),
          gradient(std::vector<double>(cols, 1.0));
      k().dense.doubles.margins(x.data(), rows, cols, weights.data(), 0.5, out.data());
      k().dense.doubles.accumulate(x.data(), rows, cols, residuals.data(), gradient.data());
      std::vector<Sum> columns(cols);
      for (std::size_t i = 0; i < rows; ++i) {
        Sum sum;
        sum.add(1, 0.5);
        for (std::size_t c = 0; c < cols; ++c) {
          sum.add(x[i * cols + c], weights[c]);
          columns[c].add(x[i * cols + c], residuals[i]);
        }
        ASSERT_NEAR(out[i], sum.value, kExact * sum.magnitude) << rows << " × " << cols;
      }
      for (std::size_t c = 0; c < cols; ++c)
        ASSERT_NEAR(gradient[c], 1 + columns[c].value, kExact * (1 + columns[c].magnitude))
            << rows << " × " << cols;
    }
}

TEST_P(DoubleKernels, AMarginDependsOnItsRowAlone) { check_rows_alone(k().dense.doubles); }

TEST_P(DoubleKernels, LossesAndResidualsAreThoseOfTheirDefinition) {
  for (const double scale : {1e-9, 1.0, 40.0, 400.0})
    for (const std::size_t n : kSizes) {
      std::vector<double> margins = doubles(n, 7);
      for (double& z : margins) z *= scale;
      for (const Loss loss : kEveryLoss)
        check_loss(loss, k().double_losses, margins, kExact, kExact);
    }
}

TEST_P(DoubleKernels, SmallLogisticLossesKeepTheirDigits) {
  const auto& loss = k().double_losses[static_cast<std::size_t>(Loss::logistic)];
  const float label = 1;
  for (const double margin : {20.0, 100.0, 600.0}) {
    double z = margin, sums[3] = {};
    loss(1, &label, nullptr, &z, sums);
    EXPECT_NEAR(sums[0], std::exp(-margin), 1e-8 * std::exp(-margin));
  }
  double z = std::nan(""), sums[3] = {};
  loss(1, &label, nullptr, &z, sums);
  EXPECT_TRUE(std::isnan(sums[0]));
}

TEST_P(DoubleKernels, AddGradientIsMarginsLossAndAccumulate) {
  for (const std::size_t cols : {0, 1, 15, 16, 17, 28, 33, 129, 300})
    for (const std::size_t rows : {0, 1, 31, 32, 33, 300}) {
      Guarded x(normals(rows * cols, 60));
      check_gradient(k().dense.doubles, k().double_losses, rows, cols, kExact, x.data(), rows,
                     cols);
    }
}

template <class Index>
void check_sparse_doubles(const KernelTable& table, const SparseKernels<Index>& kernels) {
  const Sparse<Index> x(200, 300, 0.1);
  const auto view = x.view().slice(3, x.rows);  // its offsets do not begin at 0
  check_gradient(kernels.doubles, table.double_losses, view.rows, x.cols, kExact, view.offsets,
                 view.indices, view.values, view.rows);
  // Each step as that of the same rows without zeros left out.
  const std::vector<double> weights = doubles(x.cols, 5), residuals = doubles(view.rows, 6);
  std::vector<double> sparse(view.rows), dense(view.rows), of_sparse(x.cols), of_dense(x.cols);
  const float* rows = x.dense.data() + 3 * x.cols;
  kernels.doubles.margins(view.offsets, view.indices, view.values, view.rows, weights.data(), 0.3,
                          sparse.data());
  kernels.doubles.accumulate(view.offsets, view.indices, view.values, view.rows, residuals.data(),
                             of_sparse.data());
  table.dense.doubles.margins(rows, view.rows, x.cols, weights.data(), 0.3, dense.data());
  table.dense.doubles.accumulate(rows, view.rows, x.cols, residuals.data(), of_dense.data());
  for (std::size_t i = 0; i < view.rows; ++i) ASSERT_NEAR(sparse[i], dense[i], 1e-12);
  for (std::size_t c = 0; c < x.cols; ++c) ASSERT_NEAR(of_sparse[c], of_dense[c], 1e-12);
}

TEST_P(DoubleKernels, SparseRowsAreTheSame) {
  check_sparse_doubles(k(), k().sparse16);
  check_sparse_doubles(k(), k().sparse32);
}

TEST(PublicDoubleKernels, CallTheChosenOnes) {
  const std::vector<float> row{1, 2, 3};
  const std::vector<double> weights{1, 1, 1};
  const float label = 0, weight = 2;
  const DenseView one{row.data(), 1, 3};
  std::vector<double> gradient(3, 1.0);
  // z = 6.5, s = −6.5: loss 7.5, residual 1, wrong.
  const LossSums hinged =
      add_gradient(Loss::hinge, one, &label, weights.data(), 0.5, gradient.data());
  EXPECT_EQ(hinged.loss, 7.5);
  EXPECT_EQ(hinged.residuals, 1);
  EXPECT_EQ(hinged.correct, 0);
  EXPECT_THAT(gradient, testing::ElementsAre(2, 3, 4));
  double z = 6.5;
  EXPECT_EQ(apply_loss(Loss::hinge, 1, &label, &weight, &z).loss, 15);
  EXPECT_EQ(z, 2);
}

}  // namespace
}  // namespace lambdaml::tensor
