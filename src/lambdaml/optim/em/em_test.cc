#include <cmath>

#include <gtest/gtest.h>

#include "lambdaml/optim/testing.h"

namespace lambdaml::optim::em {
namespace {

using namespace optim::testing;
using model::testing::make_model;
using model::testing::shape_of;

Rows overlapping_blobs(std::size_t n) {
  Rng rng(8);
  Rows rows(n, 6);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < 6; ++j)
      rows.at(i, j) =
          static_cast<float>(3 * std::sin(static_cast<double>(i % 5 * 7 + j)) + rng.normal());
  return rows;
}

Job job_of(std::vector<Rows> parts) {
  return {.model =
              [] {
                return make_model("kmeans", shape_of(6, 0), {{"clusters", "5"}});
              },
          .parts = std::move(parts),
          .optimizer = "em",
          .epochs = 8,
          .batch = 100};
}

TEST(Em, AnyNumberOfWorkersGivesTheSameInertia) {
  const Rows rows = overlapping_blobs(2030);
  const Trained one = train(job_of({rows}));
  for (const std::size_t workers : {2U, 4U, 7U}) {
    const Trained many = train(job_of(cut(rows, workers)));
    for (std::size_t e = 0; e < 8; ++e)
      EXPECT_NEAR(many.totals[e].loss / one.totals[e].loss, 1, 1e-5) << workers << " epoch " << e;
  }
  for (std::size_t e = 1; e < 8; ++e)  // Lloyd's iteration never makes it worse
    EXPECT_LE(one.totals[e].loss, one.totals[e - 1].loss * (1 + 1e-6));
}

TEST(Em, EndsWhenTheCentroidsRest) {
  Rows rows(4, 6);
  rows.at(1, 0) = 1;
  rows.at(2, 0) = 100;
  rows.at(3, 0) = 101;
  Job job = job_of(cut(rows, 2));
  job.model = [] { return make_model("kmeans", shape_of(6, 0), {{"clusters", "2"}}); };
  job.epochs = 50;
  job.until_converged = true;
  const Trained trained = train(job);
  // k-means++ starts in one row of each pair; the first epoch moves to the means, each by ½ in one
  // coordinate, the second stands still.
  ASSERT_EQ(trained.epochs, 2);
  EXPECT_NEAR(trained.metrics[0].at("moved"), std::sqrt(0.5), 1e-6);
  EXPECT_EQ(trained.metrics[1].at("moved"), 0);
  EXPECT_DOUBLE_EQ(trained.totals[0].loss, 2);
  EXPECT_DOUBLE_EQ(trained.totals[1].loss, 1);

  job.options = {{"threshold", "1"}};
  EXPECT_EQ(train(job).epochs, 1);
}

}  // namespace
}  // namespace lambdaml::optim::em
