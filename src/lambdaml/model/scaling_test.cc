#include "lambdaml/model/scaling.h"

#include <cmath>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/model/testing/testing.h"

namespace lambdaml::model {
namespace {

using namespace model::testing;
using ::testing::Each;
using ::testing::Eq;

/// The scaling that each of `workers` chooses for its rows i, i + workers, …; all must agree.
data::Scaling chosen(const std::string& how, const std::vector<std::vector<float>>& columns,
                     std::uint32_t workers, bool sparse = false) {
  const std::size_t n = columns[0].size(), d = columns.size();
  Options options({scale_option()});
  options.parse("scale", how, "test");
  std::vector<data::Scaling> all(workers);
  run_workers(workers, [&](comm::Communicator& communicator) {
    Rows rows(n, d);
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t c = 0; c < d; ++c) rows.at(i, c) = columns[c][i];
    Rows own = rows.part(communicator.worker(), workers);
    const Batch batch = sparse ? own.csr16() : own.dense();
    all[communicator.worker()] = choose_scaling(options, {batch.features, {}, nullptr}, sparse,
                                                static_cast<double>(n), communicator);
  });
  for (const data::Scaling& each : all) {
    EXPECT_EQ(each.center, all[0].center);
    EXPECT_EQ(each.factor, all[0].factor);
  }
  return all[0];
}

TEST(ChooseScaling, StandardHasMeanZeroAndDeviationOne) {
  // Means 2 and −10, deviations √2 and 40; the third column is constant.
  const std::vector<std::vector<float>> columns = {
      {0, 1, 2, 3, 4}, {30, -10, 30, -50, -50}, {5, 5, 5, 5, 5}};
  for (const std::uint32_t workers : {1U, 2U, 7U}) {
    const data::Scaling scaling = chosen("standard", columns, workers);
    EXPECT_EQ(scaling.center, (std::vector<float>{2, -10, 5}));
    EXPECT_FLOAT_EQ(scaling.factor[0], static_cast<float>(1 / std::sqrt(2.0)));
    EXPECT_FLOAT_EQ(scaling.factor[1], static_cast<float>(1 / std::sqrt(1280.0)));
    EXPECT_EQ(scaling.factor[2], 1);
  }
  const data::Scaling sparse = chosen("standard", columns, 2, true);
  EXPECT_THAT(sparse.center, Each(Eq(0)));
  EXPECT_FLOAT_EQ(sparse.factor[0], static_cast<float>(1 / std::sqrt(2.0)));
}

TEST(ChooseScaling, MaxabsFindsTheLargestOfAllWorkers) {
  const std::vector<std::vector<float>> columns = {
      {0.1F, -3.7F, 2, 1e-30F, 0}, {0, 0, 0, 0, 0}, {1, 2, 4, 1e30F, -3}};
  for (const std::uint32_t workers : {1U, 3U, 8U})
    for (const bool sparse : {false, true}) {
      const data::Scaling scaling = chosen("maxabs", columns, workers, sparse);
      EXPECT_EQ(scaling.center, (std::vector<float>{0, 0, 0}));
      EXPECT_EQ(scaling.factor, (std::vector<float>{1 / 3.7F, 1, 1 / 1e30F}));
    }
}

TEST(ChooseScaling, AutoStandardizesDenseColumnsOfDifferentScales) {
  const std::vector<float> small = {0, 1, 0, 1}, large = {0, 20, 0, 20}, far = {10, 11, 10, 11};
  EXPECT_FALSE(chosen("auto", {small, large}, 2).empty());
  EXPECT_FALSE(chosen("auto", {small, far}, 2).empty());
  EXPECT_TRUE(chosen("auto", {small, {0, 9, 0, 9}}, 2).empty());
  EXPECT_TRUE(chosen("auto", {small, large}, 2, true).empty()) << "sparse";
  // A rare category has a small deviation.
  std::vector<float> rare(1000), often(1000);
  rare[3] = 1;
  for (std::size_t i = 0; i < 500; ++i) often[i] = 1;
  EXPECT_TRUE(chosen("auto", {rare, often}, 4).empty()) << "zeros and ones";
  EXPECT_TRUE(chosen("none", {small, large}, 2).empty());
}

}  // namespace
}  // namespace lambdaml::model
