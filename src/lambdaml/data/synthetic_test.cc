#include "lambdaml/data/synthetic.h"

#include <cmath>
#include <numeric>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "lambdaml/base/checksum.h"
#include "lambdaml/data/testing/test_util.h"

namespace lambdaml::data {
namespace {

using test::error_of;

std::uint64_t fingerprint(const Dataset& data) {
  return checksum(registry().get("libsvm").write(data));
}

/// Accuracy on the second half of the least-squares rule of the first half: a lower bound of what
/// logistic regression reaches.
double linear_accuracy(const Dataset& data) {
  const auto rows = test::to_rows(data);
  const std::size_t cols = data.cols() + 1;
  const std::size_t half = rows.size() / 2;
  std::vector<std::vector<double>> system(cols, std::vector<double>(cols + 1));
  const auto feature = [&](std::size_t r, std::size_t c) {
    return c + 1 == cols ? 1.0 : static_cast<double>(rows[r][c]);
  };
  for (std::size_t r = 0; r < half; ++r)
    for (std::size_t i = 0; i < cols; ++i) {
      for (std::size_t j = 0; j < cols; ++j) system[i][j] += feature(r, i) * feature(r, j);
      system[i][cols] += feature(r, i) * (data.labels[r] > 0 ? 1 : -1);
    }
  for (std::size_t i = 0; i < cols; ++i)
    for (std::size_t k = 0; k < cols; ++k) {
      if (k == i) continue;
      const double factor = system[k][i] / system[i][i];
      for (std::size_t j = i; j <= cols; ++j) system[k][j] -= factor * system[i][j];
    }
  std::size_t right = 0;
  for (std::size_t r = half; r < rows.size(); ++r) {
    double margin = 0;
    for (std::size_t i = 0; i < cols; ++i) margin += feature(r, i) * system[i][cols] / system[i][i];
    right += (margin > 0) == (data.labels[r] > 0) ? 1 : 0;
  }
  return static_cast<double>(right) / static_cast<double>(rows.size() - half);
}

TEST(Synthetic, HiggsIsAsHardAsHiggs) {
  const Dataset data = synthesize({.kind = "higgs", .rows = 8000});
  EXPECT_EQ(data.rows(), 8000U);
  EXPECT_EQ(data.cols(), 28U);
  EXPECT_FALSE(tensor::is_sparse(data.features));
  EXPECT_EQ(distinct_labels(data.labels), (std::vector<std::int32_t>{0, 1}));
  const double positive = std::accumulate(data.labels.begin(), data.labels.end(), 0.0) / 8000;
  EXPECT_NEAR(positive, 0.5, 0.05);
  const double accuracy = linear_accuracy(data);
  EXPECT_GT(accuracy, 0.64);
  EXPECT_LT(accuracy, 0.72);
  EXPECT_GT(linear_accuracy(synthesize({.kind = "higgs", .rows = 8000, .noise = 0})), 0.95);
}

TEST(Synthetic, Rcv1HasItsShape) {
  const Dataset data = synthesize({.kind = "rcv1", .rows = 2000});
  EXPECT_EQ(data.cols(), 47236U);
  ASSERT_TRUE(std::holds_alternative<tensor::Csr16>(data.features));
  EXPECT_EQ(distinct_labels(data.labels), (std::vector<std::int32_t>{-1, 1}));
  const auto& csr = std::get<tensor::Csr16>(data.features);
  EXPECT_NEAR(static_cast<double>(csr.nonzeros()) / 2000, 75, 2);
  for (std::size_t r = 0; r < data.rows(); ++r) {
    double squares = 0;
    for (std::uint64_t k = csr.offsets[r]; k < csr.offsets[r + 1]; ++k) {
      squares += static_cast<double>(csr.values[k]) * csr.values[k];
      ASSERT_TRUE(k == csr.offsets[r] || csr.indices[k - 1] < csr.indices[k]);
    }
    ASSERT_NEAR(squares, 1, 1e-4);
  }
  const double positive =
      static_cast<double>(std::count(data.labels.begin(), data.labels.end(), 1)) / 2000;
  EXPECT_NEAR(positive, 0.5, 0.15);
}

TEST(Synthetic, BlobsLieAroundTheirCentres) {
  const Dataset data =
      synthesize({.kind = "blobs", .rows = 3000, .features = 5, .clusters = 4, .noise = 0.5});
  const auto rows = test::to_rows(data);
  EXPECT_EQ(distinct_labels(data.labels), (std::vector<std::int32_t>{0, 1, 2, 3}));
  double squares = 0;
  for (std::int32_t cluster = 0; cluster < 4; ++cluster) {
    std::vector<double> centre(5);
    double count = 0;
    for (std::size_t r = 0; r < rows.size(); ++r)
      if (data.labels[r] == cluster) {
        ++count;
        for (std::size_t c = 0; c < 5; ++c) centre[c] += rows[r][c];
      }
    for (double& c : centre) c /= count;
    for (std::size_t r = 0; r < rows.size(); ++r)
      if (data.labels[r] == cluster)
        for (std::size_t c = 0; c < 5; ++c)
          squares += (rows[r][c] - centre[c]) * (rows[r][c] - centre[c]);
  }
  EXPECT_NEAR(std::sqrt(squares / (3000 * 5)), 0.5, 0.01);
}

TEST(Synthetic, ValuesCarrySixDigits) {
  for (const std::string kind : {"higgs", "rcv1", "blobs"}) {
    const Dataset data = synthesize({.kind = kind, .rows = 50});
    for (const auto& row : test::to_rows(data))
      for (const float value : row)
        ASSERT_EQ(std::strtof(fmt::format("{:.6g}", value).c_str(), nullptr), value);
  }
}

// The bytes are part of what a seed means: numbers measured on synthetic data must stay comparable.
TEST(Synthetic, SameSeedSameBytesForAnyNumberOfThreads) {
  for (const std::string kind : {"higgs", "rcv1", "blobs"}) {
    const SyntheticOptions options{.kind = kind, .rows = 2500};
    const std::uint64_t one = fingerprint(synthesize(options, 1));
    EXPECT_EQ(fingerprint(synthesize(options, 3)), one);
    SyntheticOptions other = options;
    other.seed = 2;
    EXPECT_NE(fingerprint(synthesize(other, 1)), one);
    const SyntheticOptions fewer{.kind = kind, .rows = 1500};
    EXPECT_EQ(fingerprint(synthesize(fewer)), fingerprint(synthesize(options).slice(0, 1500)));
  }
}

TEST(Synthetic, RefusesWhatMakesNoSense) {
  EXPECT_EQ(error_of([] { synthesize({.kind = "higs", .rows = 1}); }),
            "invalid_argument: unknown kind of synthetic data 'higs', did you mean 'higgs'?");
  EXPECT_EQ(error_of([] { synthesize({.kind = "higgs", .rows = 0}); }),
            "invalid_argument: higgs data: the number of rows must be at least 1");
  EXPECT_EQ(error_of([] { synthesize({.kind = "rcv1", .rows = 1, .features = 100}); }),
            "invalid_argument: rcv1 data: 75 values a row are more than half of the 100 features; "
            "use `higgs` for dense data");
  EXPECT_EQ(error_of([] { synthesize({.kind = "higgs", .rows = 1, .noise = 1.5}); }),
            "invalid_argument: higgs data: the noise is a share of the labels, from 0 to 1, not "
            "1.5");
  EXPECT_EQ(error_of([] { synthesize({.kind = "higgs", .rows = 1ULL << 39}); }),
            "resource_exhausted: higgs data: does not fit the memory as a dense matrix of 28 "
            "features; keep it sparse");
}

}  // namespace
}  // namespace lambdaml::data
