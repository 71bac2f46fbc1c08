#include <cmath>
#include <cstring>
#include <mutex>
#include <numeric>
#include <set>
#include <tuple>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/model/kmeans/parallel_start.h"
#include "lambdaml/model/testing/testing.h"

namespace lambdaml::model::kmeans {
namespace {

using namespace model::testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Points around the corners of a cube, in double precision's sense well apart.
Rows blobs(std::size_t n, std::size_t d, std::size_t k, std::uint64_t seed, double spread = 0.5) {
  Rng rng(seed);
  std::vector<double> centres(k * d);
  for (double& c : centres) c = rng.uniform(-10, 10);
  Rows rows(n, d);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < d; ++j)
      rows.at(i, j) = static_cast<float>(centres[i % k * d + j] + spread * rng.normal());
  return rows;
}

std::unique_ptr<Model> make(std::size_t d, std::size_t k, std::size_t threads = 1) {
  return make_model("kmeans", shape_of(d, 0),
                    {{"clusters", std::to_string(k)}, {"threads", std::to_string(threads)}});
}

/// The first centroids that P workers agree on, each holding the rows r with r mod P = its number.
std::vector<float> chosen(const Rows& all, std::size_t k, std::uint32_t workers, std::uint64_t seed,
                          bool sparse = false, std::size_t threads = 1,
                          std::span<const float> weights = {}) {
  std::vector<std::vector<float>> out(workers);
  run_workers(workers, [&](comm::Communicator& communicator) {
    Rows own = all.part(communicator.worker(), workers);
    Batch rows = sparse ? own.csr16() : own.dense();
    std::vector<float> own_weights;
    for (std::size_t r = communicator.worker(); r < weights.size(); r += workers)
      own_weights.push_back(weights[r]);
    rows.weights = own_weights;
    const auto model = make(all.cols(), k, threads);
    out[communicator.worker()].resize(model->parameter_count());
    model->initialize({.rows = rows,
                       .first_row = communicator.worker(),
                       .row_stride = workers,
                       .communicator = communicator,
                       .seed = seed},
                      out[communicator.worker()]);
  });
  for (const auto& centroids : out) EXPECT_EQ(centroids, out[0]);
  return out[0];
}

TEST(KMeans, SumsAndCountsAreTheNaiveOnes) {
  Rows rows = blobs(500, 6, 9, 3, 4);
  const std::size_t k = 7;
  Rng rng(4);
  std::vector<float> centroids(k * 6);
  for (float& c : centroids) c = static_cast<float>(rng.uniform(-10, 10));

  std::vector<double> sums(k * 6);
  std::vector<double> counts(k);
  double inertia = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::size_t nearest = 0;
    double least = 1e300;
    for (std::size_t c = 0; c < k; ++c) {
      double squared = 0;
      for (std::size_t j = 0; j < 6; ++j)
        squared += std::pow(static_cast<double>(rows.at(i, j)) - centroids[c * 6 + j], 2);
      if (squared < least) {
        least = squared;
        nearest = c;
      }
    }
    inertia += least;
    counts[nearest] += 1;
    for (std::size_t j = 0; j < 6; ++j) sums[nearest * 6 + j] += rows.at(i, j);
  }

  for (const auto& [form, batch] : rows.forms()) {
    const auto model = make(6, k);
    ASSERT_EQ(model->parameter_count(), k * 6);
    std::vector<float> merged(model->sums_count());
    Totals totals;
    for (std::size_t begin = 0; begin < 500; begin += 100)
      totals += accumulate(*model, batch.slice(begin, begin + 100), centroids, merged);
    EXPECT_NEAR(totals.loss, inertia, 1e-5 * inertia) << form;
    EXPECT_EQ(totals.rows, 500);
    for (std::size_t i = 0; i < sums.size(); ++i) EXPECT_NEAR(merged[i], sums[i], 1e-2) << form;
    for (std::size_t c = 0; c < k; ++c) {
      EXPECT_EQ(merged[k * 6 + c], counts[c]) << form;  // low part
      EXPECT_EQ(merged[k * 6 + k + c], 0.0F) << form;   // high part
    }
    EXPECT_NEAR(model->evaluate(batch, centroids).loss, inertia, 1e-5 * inertia) << form;

    std::vector<float> moved = centroids;
    const double distance = dynamic_cast<ExpectationModel&>(*model).maximize(
        std::vector<double>(merged.begin(), merged.end()), moved);
    double expected = 0;
    for (std::size_t i = 0; i < moved.size(); ++i) {
      const double mean = counts[i / 6] == 0 ? centroids[i] : sums[i] / counts[i / 6];
      EXPECT_NEAR(moved[i], mean, 1e-4) << form;
      expected += std::pow(mean - centroids[i], 2);
    }
    EXPECT_NEAR(distance, std::sqrt(expected), 1e-4) << form;
  }
}

/// The rows that these weights stand for: row i weights[i] times.
Rows repeated(Rows& rows, std::span<const float> weights) {
  Rows out(static_cast<std::size_t>(std::accumulate(weights.begin(), weights.end(), 0.0)),
           rows.cols());
  std::size_t to = 0;
  for (std::size_t i = 0; i < rows.size(); ++i)
    for (float left = weights[i]; left > 0; --left, ++to)
      std::copy_n(&rows.at(i, 0), rows.cols(), &out.at(to, 0));
  return out;
}

TEST(KMeans, ARowOfWeightThreeIsThreeRows) {
  const std::size_t n = 12'000, d = 6, k = 7;  // enough for two threads
  Rows rows = blobs(n, d, 9, 3, 4);
  std::vector<float> weights(n);
  for (std::size_t i = 0; i < n; ++i) weights[i] = static_cast<float>(i % 4);
  Rows copies = repeated(rows, weights);
  const std::vector<float> centroids = chosen(rows, k, 1, 1);
  const auto model = make(d, k);
  std::vector<float> expected(model->sums_count());
  const Totals of_copies = accumulate(*model, copies.dense(), centroids, expected);
  for (auto& [form, batch] : rows.forms())
    for (const std::size_t threads : {1U, 2U}) {
      SCOPED_TRACE(::testing::Message() << form << ", " << threads << " threads");
      Batch weighted = batch;
      weighted.weights = weights;
      const auto ours = make(d, k, threads);
      std::vector<float> sums(expected.size());
      const Totals totals = accumulate(*ours, weighted, centroids, sums);
      EXPECT_NEAR(totals.loss, of_copies.loss, 1e-6 * of_copies.loss);
      EXPECT_EQ(totals.rows, n);
      for (std::size_t i = 0; i < k * d; ++i) EXPECT_NEAR(sums[i], expected[i], 0.05);
      for (std::size_t i = k * d; i < sums.size(); ++i) EXPECT_EQ(sums[i], expected[i]);  // counts
      EXPECT_NEAR(ours->evaluate(weighted, centroids).loss, of_copies.loss, 1e-6 * of_copies.loss);
    }
}

TEST(KMeans, WeightsMayHaveFractions) {
  // By hand: the mean of 0 and 3 with weights 0.5 and 0.25 is 1, the inertia 0.5 · 1 + 0.25 · 4.
  const auto owned = make(1, 2);
  auto* model = dynamic_cast<ExpectationModel*>(owned.get());
  ASSERT_NE(model, nullptr);
  Rows rows(4, 1);
  rows.at(1, 0) = 3;
  rows.at(2, 0) = 90;   // of no weight: does not count,
  rows.at(3, 0) = 100;  // and neither does its whole cluster
  const std::vector<float> weights = {0.5F, 0.25F, 0, 0};
  Batch batch = rows.dense();
  batch.weights = weights;
  std::vector<float> centroids = {1, 100};
  std::vector<double> sums(model->sums_count());
  EXPECT_EQ(model->accumulate(batch, centroids, sums).loss, 1.5);
  EXPECT_THAT(sums, ElementsAre(0.75, 0, 0.75, 0, 0, 0));
  model->maximize(sums, centroids);
  EXPECT_THAT(centroids, ElementsAre(1, 100));
  // As they travel in large messages.
  sums = {0.75, 0, 8192.75, 0, 0, 0};
  std::vector<float> rounded(sums.size());
  model->round_sums(sums, rounded);
  EXPECT_THAT(rounded, ElementsAre(0.75F, 0, 0.75F, 0, 2, 0));
}

TEST(KMeans, AnEmptyClusterStaysWhereItIs) {
  Rows rows(4, 1);
  for (std::size_t i = 0; i < 4; ++i) rows.at(i, 0) = static_cast<float>(i);
  const auto model = make(1, 3);
  std::vector<float> centroids = {0.0F, 100.0F, 3.0F};
  std::vector<float> sums(model->sums_count());
  accumulate(*model, rows.dense(), centroids, sums);
  dynamic_cast<ExpectationModel&>(*model).maximize(std::vector<double>(sums.begin(), sums.end()),
                                                   centroids);
  EXPECT_THAT(centroids, ElementsAre(0.5F, 100.0F, 2.5F));
}

TEST(KMeans, CountsStayExactBeyondWhatOneFloatCounts) {
  // 20,484,095 rows in one cluster, low + 4,096 · high, and three more. No float is 20,484,095.
  const auto owned = make(1, 1);
  auto* model = dynamic_cast<ExpectationModel*>(owned.get());
  ASSERT_NE(model, nullptr);
  Rows rows(3, 1);
  const std::vector<float> centroid = {0};
  std::vector<double> sums = {0, 4095 + 5000 * 4096.0, 0};
  model->accumulate(rows.dense(), centroid, sums);
  std::vector<float> rounded(3);
  model->round_sums(sums, rounded);
  EXPECT_THAT(rounded, ElementsAre(0.0F, 2.0F, 5001.0F));

  // What merging makes of the low parts of several workers need not be below 4,096.
  const std::vector<double> merged = {3 * (5000.0 + 2 * 4096), 5000, 2};
  std::vector<float> mean = {0};
  EXPECT_EQ(model->maximize(merged, mean), 3.0);
  EXPECT_EQ(mean[0], 3.0F);
}

TEST(KMeans, TheFirstCentroidsDoNotDependOnTheCut) {
  const Rows rows = blobs(203, 5, 6, 17);
  for (const bool sparse : {false, true}) {
    const std::vector<float> alone = chosen(rows, 6, 1, 42, sparse);
    for (const std::uint32_t workers : {2U, 4U, 7U}) {
      const std::vector<float> together = chosen(rows, 6, workers, 42, sparse);
      EXPECT_EQ(std::memcmp(together.data(), alone.data(), alone.size() * sizeof(float)), 0)
          << workers << " workers";
    }
    EXPECT_EQ(chosen(rows, 6, 2, 42, sparse, 3), alone);
    EXPECT_NE(chosen(rows, 6, 1, 43, sparse), alone);
  }
}

TEST(KMeans, TheFirstCentroidsTakeAConstantNumberOfRounds) {
  for (const auto& [d, k, workers] : {std::tuple(std::size_t{5}, std::size_t{6}, 4U),
                                      std::tuple(std::size_t{5000}, std::size_t{3}, 4U),
                                      std::tuple(std::size_t{5}, std::size_t{40}, 1U),
                                      std::tuple(std::size_t{5}, std::size_t{40}, 3U)}) {
    Rows rows = blobs(200, d, 50, 17);
    // A worker without a negative zero of its own must not see one.
    for (std::size_t i = 0; i < rows.size(); ++i) rows.at(i, 1) = -0.0F;
    run_workers(workers, [&, d = d, k = k, workers = workers](auto& communicator) {
      Rows own = rows.part(communicator.worker(), workers);
      const Batch batch = own.dense();
      std::vector<float> centroids(k * d);
      make(d, k)->initialize({.rows = batch,
                              .first_row = communicator.worker(),
                              .row_stride = workers,
                              .communicator = communicator,
                              .seed = 3},
                             centroids);
      EXPECT_EQ(communicator.round(), kMostMerges) << d << " features, " << k << " clusters";
      EXPECT_FALSE(std::signbit(centroids[1]));
    });
    const std::vector<float> alone = chosen(rows, k, 1, 3), together = chosen(rows, k, workers, 3);
    EXPECT_EQ(std::memcmp(together.data(), alone.data(), alone.size() * sizeof(float)), 0);
  }
}

TEST(KMeans, TheFirstCentroidsOfRowsWithWeightsDoNotDependOnTheCut) {
  Rows rows = blobs(203, 5, 6, 17);
  Rng rng(8);
  std::vector<float> weights(203);
  for (float& weight : weights) weight = static_cast<float>(rng.uniform(0, 3));
  for (const bool sparse : {false, true}) {
    const std::vector<float> alone = chosen(rows, 6, 1, 42, sparse, 1, weights);
    for (const std::uint32_t workers : {2U, 4U, 7U, 300U})
      EXPECT_EQ(chosen(rows, 6, workers, 42, sparse, 1, weights), alone) << workers << " workers";
    EXPECT_EQ(chosen(rows, 6, 2, 42, sparse, 3, weights), alone);
    EXPECT_NE(chosen(rows, 6, 1, 42, sparse), alone);
    // Weights that are all equal are none.
    const std::vector<float> equal(203, 2);
    EXPECT_EQ(chosen(rows, 6, 3, 42, sparse, 1, equal), chosen(rows, 6, 1, 42, sparse));
  }
  run_workers(1, [&](comm::Communicator& communicator) {
    Batch batch = rows.dense();
    batch.weights = weights;
    std::vector<float> centroids(6 * 5);
    make(5, 6)->initialize({.rows = batch, .communicator = communicator, .seed = 3}, centroids);
    EXPECT_EQ(communicator.round(), kMostMerges + 1);
  });
}

TEST(KMeans, TheFirstCentroidsAreDrawnByWeight) {
  // The far row of no weight is never chosen; of the others 0 has three quarters of the weight.
  Rows rows(3, 1);
  rows.at(1, 0) = 1;
  rows.at(2, 0) = 1000;
  const std::vector<float> weights = {3, 1, 0};
  const int n = 4000;
  int zeros = 0;
  for (std::uint64_t seed = 0; seed < n; ++seed) {
    const float centroid = chosen(rows, 1, 1, seed, false, 1, weights)[0];
    ASSERT_LE(centroid, 1) << seed;
    zeros += centroid == 0 ? 1 : 0;
  }
  EXPECT_NEAR(zeros, 0.75 * n, 0.03 * n);
  // Of two rows that count, three centroids coincide.
  for (const float centroid : chosen(rows, 3, 2, 1, false, 1, weights)) EXPECT_LE(centroid, 1);
}

TEST(KMeans, EveryOneOfManyFarClustersGetsACentroid) {
  // A row of a cluster without a candidate is a million times as far as one of a cluster with one.
  // A centre that is a row leaves twice the inertia of a mean.
  Rows rows = blobs(5000, 8, 50, 5, 0.01);
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const std::vector<float> centroids = chosen(rows, 50, 2, seed);
    EXPECT_LT(make(8, 50)->evaluate(rows.dense(), centroids).loss, 3 * 5000 * 8 * 1e-4) << seed;
  }
}

TEST(KMeans, TheFirstCentroidsAreRowsAndFarApart) {
  Rows rows = blobs(600, 3, 6, 5, 0.01);
  std::set<std::size_t> seen;
  const std::vector<float> centroids = chosen(rows, 6, 3, 1);
  for (std::size_t c = 0; c < 6; ++c) {
    std::size_t found = rows.size();
    for (std::size_t i = 0; i < rows.size(); ++i)
      if (std::equal(&rows.at(i, 0), &rows.at(i, 0) + 3, centroids.data() + c * 3)) found = i;
    ASSERT_LT(found, rows.size()) << "centroid " << c << " is no row";
    seen.insert(found % 6);  // the blob that the row belongs to
  }
  // Blobs are some 10 apart and 0.01 wide: another row of the same blob is 10⁻⁶ times as likely.
  EXPECT_EQ(seen.size(), 6);
}

TEST(KMeans, ChoosesOfWeightedRowsGreedily) {
  // Rows 0, 1 and 3 with weights 2, 1 and 1. The first is drawn by weight. By hand, the inertia
  // that remains with a second: from 0, 1 leaves 4 and 3 leaves 1; from 1, 0 leaves 4 and 3 leaves
  // 2; from 3, 0 leaves 1 and 1 leaves 2. Of two draws the better one remains, so the worse one is
  // left only if both are it: P(1 | 0) = (1/10)², P(0 | 1) = (2/6)², P(1 | 3) = (4/22)².
  const std::vector<float> rows = {0, 1, 3};
  const std::vector<double> weights = {2, 1, 1};
  std::map<std::pair<float, float>, double> drawn;
  const int n = 6000;
  for (int seed = 0; seed < n; ++seed) {
    std::vector<float> centroids(2);
    choose_of_weighted(tensor::DenseView{rows.data(), 3, 1}, weights, 2, 1,
                       static_cast<std::uint64_t>(seed), centroids);
    drawn[{centroids[0], centroids[1]}] += 1.0 / n;
  }
  const double a = 1.0 / 100, b = 1.0 / 9, c = 4.0 / 121;
  const std::map<std::pair<float, float>, double> expected = {
      {{0, 1}, a / 2},       {{0, 3}, (1 - a) / 2}, {{1, 0}, b / 4},
      {{1, 3}, (1 - b) / 4}, {{3, 1}, c / 4},       {{3, 0}, (1 - c) / 4}};
  for (const auto& [pair, share] : expected)
    EXPECT_NEAR(drawn[pair], share, 0.03) << pair.first << " " << pair.second;
}

TEST(KMeans, TheSilhouetteIsTheNaiveOneInEveryForm) {
  Rows rows = blobs(300, 4, 5, 3, 4);
  const std::size_t k = 5;
  Rng rng(4);
  std::vector<float> centroids(k * 4);
  for (float& c : centroids) c = static_cast<float>(rng.uniform(-10, 10));
  double expected = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::vector<double> distances(k);
    for (std::size_t c = 0; c < k; ++c)
      for (std::size_t j = 0; j < 4; ++j)
        distances[c] += std::pow(static_cast<double>(rows.at(i, j)) - centroids[c * 4 + j], 2);
    std::sort(distances.begin(), distances.end());
    expected += 1 - std::sqrt(distances[0] / distances[1]);
  }
  for (const auto& [form, batch] : rows.forms())
    for (const std::size_t threads : {1U, 3U})
      EXPECT_NEAR(make(4, k, threads)->evaluate(batch, centroids).silhouettes, expected, 1e-4)
          << form;
  // One cluster has no other; equal centroids are no clusters.
  EXPECT_EQ(make(4, 1)->evaluate(rows.dense(), std::span(centroids).first(4)).silhouettes, 0);
  const std::vector<float> equal(8, 1.0F);
  EXPECT_EQ(make(4, 2)->evaluate(rows.dense(), equal).silhouettes, 0);
}

TEST(KMeans, EqualRowsAndTooFewOfThem) {
  Rows equal(10, 2);
  for (std::size_t i = 0; i < 10; ++i) equal.at(i, 1) = 2;
  for (const std::uint32_t workers : {1U, 3U})
    EXPECT_THAT(chosen(equal, 3, workers, 1), ElementsAre(0, 2, 0, 2, 0, 2));

  Rows two(2, 1);
  two.at(1, 0) = 1;
  EXPECT_EQ(chosen(two, 2, 2, 1), chosen(two, 2, 1, 1));
  try {
    chosen(two, 3, 2, 1);
    ADD_FAILURE() << "three clusters of two rows";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    EXPECT_THAT(error.what(),
                HasSubstr("k-means with 3 clusters needs as many rows; the data has 2"));
  }
  // A worker without rows takes part.
  Rows three = blobs(3, 2, 3, 1);
  EXPECT_EQ(chosen(three, 3, 4, 9), chosen(three, 3, 1, 9));
}

TEST(KMeans, ThreadsChangeRoundingOnlyAndAreDeterministic) {
  Rows rows = blobs(20'000, 5, 8, 2, 3);
  const auto one = make(5, 4);
  const auto three = make(5, 4, 3);
  const std::vector<float> centroids = chosen(rows, 4, 1, 1);
  std::vector<float> expected(one->sums_count());
  std::vector<float> sums(one->sums_count());
  std::vector<float> again(one->sums_count());
  const Totals a = accumulate(*one, rows.dense(), centroids, expected);
  const Totals b = accumulate(*three, rows.dense(), centroids, sums);
  accumulate(*three, rows.dense(), centroids, again);
  EXPECT_EQ(sums, again);
  EXPECT_NEAR(a.loss, b.loss, 1e-6 * a.loss);
  for (std::size_t i = 20; i < 28; ++i) EXPECT_EQ(sums[i], expected[i]);  // counts
  // Sums of 20,000 floats below 20, their rounding errors adding up like a random walk.
  for (std::size_t i = 0; i < 20; ++i) EXPECT_NEAR(sums[i], expected[i], 1.0);
}

TEST(KMeans, PredictsTheNearestAndItsSquaredDistance) {
  Rows rows(3, 2);
  rows.at(0, 0) = 1;
  rows.at(1, 1) = 3;
  rows.at(2, 0) = -4;
  const auto model = make(2, 2);
  const std::vector<float> centroids = {0, 3, 0, 0};
  const Model::Prediction prediction = model->predict({rows.dense().features, {}}, centroids);
  EXPECT_THAT(prediction.classes, ElementsAre(1, 0, 1));
  EXPECT_THAT(prediction.scores, ElementsAre(1, 0, 16));
  EXPECT_TRUE(prediction.target_probabilities.empty());
}

}  // namespace
}  // namespace lambdaml::model::kmeans
