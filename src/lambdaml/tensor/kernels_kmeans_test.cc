#include <algorithm>
#include <cmath>
#include <vector>

#include "lambdaml/tensor/testing/kernels_test.h"

namespace lambdaml::tensor {
namespace {

class KmeansKernels : public Kernels {};
LAMBDAML_FOR_EVERY_INSTRUCTION_SET(KmeansKernels);

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
  std::vector<double> sums(k * d, 1.0);
  std::vector<double> counts(k, 2.0);
  Guarded scratch(std::vector<float>(k * (d + 1)));
  std::vector<std::uint32_t> nearest(rows, 12345);
  Guarded squared(rows);
  const double inertia = assign(
      table_of(prepared),
      AssignOutput{sums.data(), counts.data(), scratch.data(), nearest.data(), squared.data()});
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
  for (std::size_t i = 0; i < k * (d + 1); ++i) ASSERT_EQ(scratch[i], 0);
  for (std::size_t i = 0; i < k * d; ++i) ASSERT_NEAR(sums[i], expected_sums[i], 1e-4);
}

TEST_P(KmeansKernels, AssignFindsTheNearest) {
  for (const std::size_t d : {1, 3, 4, 15, 16, 17, 28, 33, 64, 65, 130, 300})
    for (const std::size_t centroids : {1, 2, 7, 10, 16, 17, 65, 100, 150})
      for (const std::size_t rows : {0, 1, 16, 17, 31, 33, 70}) {
        if (rows * centroids * d > 400'000) continue;
        const std::vector<float> values = normals(rows * d, 30);
        Guarded x(values);
        check_assign(values, rows, centroids, d,
                     [&](const CentroidTable& c, const AssignOutput& out) {
                       return k().dense.assign(x.data(), rows, d, c, out);
                     });
      }
}

TEST_P(KmeansKernels, SparseAssignFindsTheNearest) {
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

TEST_P(KmeansKernels, AmongEqualsTheLowestCentroidWins) {
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
    k().dense.assign(x.dense.data(), rows, d, table_of(prepared),
                     {nullptr, nullptr, nullptr, dense.data(), nullptr});
    k().sparse32.assign(x.offsets.data(), x.indices.data(), x.values.data(), rows,
                        table_of(prepared), {nullptr, nullptr, nullptr, sparse.data(), nullptr});
    for (std::size_t i = 0; i < rows; ++i) {
      std::size_t lowest = 0;
      for (std::size_t j = 1; j < centroids; ++j)
        if (expected.of(i, j) < expected.of(i, lowest)) lowest = j;
      EXPECT_EQ(dense[i], lowest);
      EXPECT_EQ(sparse[i], lowest);
    }
  }
}

TEST_P(KmeansKernels, AnAssignmentDependsOnItsRowAlone) {
  const std::size_t rows = 70;
  const std::size_t d = 28;
  const std::vector<float> x = normals(rows * d, 40);
  const std::vector<float> centroids = normals(10 * d, 41);
  Centroids c;
  c.prepare(centroids.data(), 10, d);
  std::vector<float> together(rows);
  k().dense.assign(x.data(), rows, d, table_of(c),
                   {nullptr, nullptr, nullptr, nullptr, together.data()});
  for (std::size_t i = 0; i < rows; ++i) {
    float alone = 0;
    k().dense.assign(x.data() + i * d, 1, d, table_of(c),
                     {nullptr, nullptr, nullptr, nullptr, &alone});
    ASSERT_EQ(alone, together[i]);
  }
}

/// In float these sums are wrong by up to a thousandth: a constant is rounded the same way at every
/// addition.
TEST_P(KmeansKernels, SumsOfConstantsDoNotDrift) {
  const std::size_t rows = 60'000;
  for (const std::size_t d : {1, 28, 130})
    for (const std::size_t centroids : {1, 300}) {
      if (d == 130 && centroids == 300) continue;  // as d = 130 alone, but slow
      SCOPED_TRACE(testing::Message() << "k = " << centroids << ", d = " << d);
      std::vector<float> x(rows * d);
      for (std::size_t i = 0; i < x.size(); ++i)
        x[i] = i % d % 3 == 0 ? 0.2F : i % d % 3 == 1 ? 0.7F : 1.0F;
      std::vector<float> c(centroids * d, 50.0F);
      std::copy_n(x.begin(), d, c.end() - static_cast<std::ptrdiff_t>(d));
      Centroids prepared;
      prepared.prepare(c.data(), centroids, d);
      std::vector<std::uint64_t> offsets(rows + 1);
      std::vector<std::uint32_t> indices(rows * d);
      for (std::size_t i = 0; i <= rows; ++i) offsets[i] = i * d;
      for (std::size_t i = 0; i < x.size(); ++i) indices[i] = static_cast<std::uint32_t>(i % d);
      for (const bool sparse : {false, true}) {
        std::vector<double> sums(centroids * d);
        std::vector<double> counts(centroids);
        std::vector<float> scratch(centroids * (d + 1));
        const AssignOutput out{sums.data(), counts.data(), scratch.data(), nullptr, nullptr};
        if (sparse)
          k().sparse32.assign(offsets.data(), indices.data(), x.data(), rows, table_of(prepared),
                              out);
        else
          k().dense.assign(x.data(), rows, d, table_of(prepared), out);
        ASSERT_EQ(counts.back(), rows);
        for (std::size_t f = 0; f < d; ++f) {
          const double mean = sums[(centroids - 1) * d + f] / static_cast<double>(rows);
          ASSERT_NEAR(mean, double{x[f]}, 1.3e-6 * double{x[f]}) << (sparse ? "sparse" : "dense");
        }
      }
    }
}

TEST_P(KmeansKernels, RowsBeyondFloatStillGetACentroidThatIs) {
  std::vector<float> x(20 * 3, 3e38F);
  x[4] = kNan;
  const std::vector<float> centroids{3e38F, 3e38F, 3e38F, -3e38F, 1, 2};
  Centroids c;
  c.prepare(centroids.data(), 2, 3);
  std::vector<std::uint32_t> nearest(20, 99);
  k().dense.assign(x.data(), 20, 3, table_of(c),
                   {nullptr, nullptr, nullptr, nearest.data(), nullptr});
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

}  // namespace
}  // namespace lambdaml::tensor
