#include <cmath>

#include <gtest/gtest.h>

#include "lambdaml/optim/testing/testing.h"

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

/// One epoch over `batch`, repeated: the centroid of the one cluster.
std::vector<float> mean_over(const model::Batch& batch, std::size_t d, std::uint64_t times,
                             std::size_t restored_after = 0) {
  std::vector<float> out;
  model::testing::run_workers(1, [&](comm::Communicator& communicator) {
    const auto model = make_model("kmeans", shape_of(d, 0), {{"clusters", "1"}});
    const Plugin& plugin = registry().get("em");
    const auto make = [&] {
      auto optimizer =
          plugin.make({.model = *model, .communicator = communicator}, options_of(plugin, {}));
      optimizer->begin(std::vector<float>(d, 0.5F));
      return optimizer;
    };
    auto optimizer = make();
    for (std::uint64_t i = 0; i < times; ++i) {
      const bool last = i + 1 == times;
      optimizer->step(batch, {.round = i, .last_of_pass = last, .last_of_epoch = last});
      if (i + 1 != restored_after) continue;
      // As a checkpoint: the vectors first, then the scalars.
      auto fresh = make();
      for (auto& [name, values] : fresh->state())
        std::ranges::copy(optimizer->state().at(name), values.begin());
      fresh->set_scalars(optimizer->scalars());
      optimizer = std::move(fresh);
    }
    out.assign(optimizer->parameters().begin(), optimizer->parameters().end());
  });
  return out;
}

Rows constants(std::size_t n) {
  Rows rows(n, 3);
  for (std::size_t i = 0; i < n; ++i) {
    rows.at(i, 0) = 0.2F;
    rows.at(i, 1) = 0.7F;
    rows.at(i, 2) = 1;
  }
  return rows;
}

/// Float sums gave 0.192 and 0.730 for 4.5 million rows, and 0.84 for 20 million ones.
TEST(Em, MeansOfMillionsOfRowsAreRight) {
  Rows rows = constants(100'000);
  for (const auto& [form, batch] : rows.forms())
    for (const std::uint64_t times : {45, 200}) {
      if (times == 200 && form == "csr16") continue;  // the same sums as csr32
      const std::vector<float> mean = mean_over(batch, 3, times);
      EXPECT_NEAR(mean[0], 0.2, 3e-7) << form << " " << times;
      EXPECT_NEAR(mean[1], 0.7, 1e-6) << form << " " << times;
      EXPECT_EQ(mean[2], 1) << form << " " << times;
    }
}

TEST(Em, BatchesOfAFewRowsAreCountedExactly) {
  // 9,000 batches of 4,095 rows: the low parts of their counts add up to more than 2^24.
  Rows rows = constants(4095);
  const std::vector<float> mean = mean_over(rows.dense(), 3, 9000);
  EXPECT_NEAR(mean[0], 0.2, 3e-7);
  EXPECT_EQ(mean[2], 1);
}

TEST(Em, ACheckpointWithinAnEpochKeepsTheSumsExactly) {
  Rows rows = overlapping_blobs(997);
  const std::vector<float> expected = mean_over(rows.dense(), 6, 50);
  for (const std::size_t at : {1U, 17U, 49U})
    EXPECT_EQ(mean_over(rows.dense(), 6, 50, at), expected) << at;
}

/// Trains k-means of `k` clusters from several starts, one after another in `initial`, until they
/// rest; returns the inertia of the model. Checkpoints after every step if `restores`.
double inertia_of_starts(const Rows& rows, std::size_t k, std::size_t starts,
                         std::span<const float> initial, std::uint32_t workers, bool restores) {
  std::vector<double> out(workers);
  model::testing::run_workers(workers, [&](comm::Communicator& communicator) {
    Rows part = rows.part(communicator.worker(), workers);
    const auto model = make_model("kmeans", shape_of(6, 0), {{"clusters", std::to_string(k)}});
    const Plugin& plugin = registry().get("em");
    const auto make = [&] {
      return plugin.make({.model = *model, .communicator = communicator},
                         options_of(plugin, {{"n_init", std::to_string(starts)}}));
    };
    auto optimizer = make();
    EXPECT_EQ(optimizer->starts(), starts);
    optimizer->begin(initial);
    for (std::uint64_t epoch = 0; epoch < 100 && !optimizer->converged(); ++epoch)
      for (const std::uint64_t round : {0U, 1U}) {
        const model::Batch batch = part.dense();
        const std::size_t half = batch.rows() / 2;
        out[communicator.worker()] =
            optimizer
                ->step(round == 0 ? batch.slice(0, half) : batch.slice(half, batch.rows()),
                       {.epoch = epoch,
                        .round = round,
                        .last_of_pass = round == 1,
                        .last_of_epoch = round == 1})
                .loss;
        if (!restores) continue;
        auto fresh = make();
        fresh->begin(std::vector<float>(initial.size()));
        for (auto& [name, values] : fresh->state())
          std::ranges::copy(optimizer->state().at(name), values.begin());
        fresh->set_scalars(optimizer->scalars());
        optimizer = std::move(fresh);
      }
    EXPECT_TRUE(optimizer->converged());
    // The model is the one whose inertia is told.
    const model::Totals final = model->evaluate(rows.part(0, 1).dense(), optimizer->parameters());
    EXPECT_NEAR(final.loss / out[communicator.worker()], 1, 1e-4);
  });
  for (const double inertia : out) EXPECT_EQ(inertia, out[0]);
  return out[0];
}

TEST(Em, TheBestOfSeveralStartsIsTheModel) {
  const Rows rows = overlapping_blobs(600);
  Rng rng(2);
  const std::size_t k = 5, starts = 4;
  std::vector<float> initial(starts * k * 6);
  for (float& value : initial) value = static_cast<float>(4 * rng.normal());
  std::vector<double> alone;
  for (std::size_t i = 0; i < starts; ++i)
    alone.push_back(
        inertia_of_starts(rows, k, 1, std::span(initial).subspan(i * k * 6, k * 6), 1, false));
  const double best = *std::ranges::min_element(alone);
  EXPECT_LT(best, *std::ranges::max_element(alone) * 0.99) << "the starts do not differ";
  const double together = inertia_of_starts(rows, k, starts, initial, 1, false);
  EXPECT_DOUBLE_EQ(together, best);
  EXPECT_EQ(inertia_of_starts(rows, k, starts, initial, 1, true), together);
  EXPECT_NEAR(inertia_of_starts(rows, k, starts, initial, 3, false) / best, 1, 1e-6);
}

TEST(Em, ManySumsAreMergedAsFloats) {
  // 5 clusters of 6 features in 250 starts have 10,000 sums, too many for doubles.
  const Rows rows = overlapping_blobs(60);
  Rng rng(2);
  std::vector<float> initial(250 * 30);
  for (float& value : initial) value = static_cast<float>(4 * rng.normal());
  const double alone = inertia_of_starts(rows, 5, 250, initial, 1, false);
  EXPECT_NEAR(inertia_of_starts(rows, 5, 250, initial, 2, true) / alone, 1, 1e-5);
}

TEST(Em, TakesTheSumsOfAnOlderCheckpoint) {
  model::testing::run_workers(1, [&](comm::Communicator& communicator) {
    const auto model = make_model("kmeans", shape_of(2, 0), {{"clusters", "1"}});
    const Plugin& plugin = registry().get("em");
    const auto optimizer =
        plugin.make({.model = *model, .communicator = communicator}, options_of(plugin, {}));
    optimizer->begin(std::vector<float>(2));
    State state = optimizer->state();
    // Sums (6, 8) over 4 rows, in the middle of an epoch: five scalars, no sums among them.
    std::ranges::copy(std::vector<float>{6, 8, 4, 0}, state.at("sums").begin());
    optimizer->set_scalars(std::vector<double>{0.5, 0, 100, 4, 0});
    Rows none(0, 2);
    optimizer->step(none.dense(), {.round = 1, .last_of_pass = true, .last_of_epoch = true});
    EXPECT_EQ(std::vector<float>(optimizer->parameters().begin(), optimizer->parameters().end()),
              (std::vector<float>{1.5F, 2.0F}));
  });
}

}  // namespace
}  // namespace lambdaml::optim::em
