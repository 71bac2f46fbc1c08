#include "lambdaml/optim/admm/acceleration.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "lambdaml/base/error.h"

namespace lambdaml::optim::admm {
namespace {

/// The iteration c ← c + M (b − c) with a diagonal M, whose state is cut over two workers.
class Iteration {
 public:
  explicit Iteration(std::size_t memory)
      : parts_{Acceleration(memory, 2), Acceleration(memory, 2)} {
    for (Acceleration& part : parts_) part.begin();
  }

  /// One step; returns the squared change. Before it is extrapolated, T(c) is offset by `miss`.
  double step(float miss = 0) {
    std::vector<double> sums;
    double square = 0;
    for (std::size_t worker = 0; worker < 2; ++worker) {
      std::vector<float> change(2);
      for (std::size_t i = 0; i < 2; ++i) {
        const std::size_t at = 2 * worker + i;
        change[i] = kRates[at] * (kFixed[at] - c[at]) + miss;
        c[at] += change[i];
        square += static_cast<double>(change[i]) * change[i];
      }
      const std::span<const double> own = parts_[worker].products(change);
      sums.resize(own.size());
      for (std::size_t k = 0; k < own.size(); ++k) sums[k] += own[k];
    }
    mean = {(c[0] + c[2]) / 2, (c[1] + c[3]) / 2};
    for (std::size_t worker = 0; worker < 2; ++worker) {
      std::vector<float> common = mean;
      parts_[worker].extrapolate(sums, std::span(c).subspan(2 * worker, 2), common);
      if (worker == 1) mean = common;
    }
    return square;
  }

  double distance() const {
    double sum = 0;
    for (std::size_t i = 0; i < 4; ++i) sum += std::pow(c[i] - kFixed[i], 2);
    return std::sqrt(sum);
  }

  std::vector<float> c = {0, 0, 0, 0};
  std::vector<float> mean;

 private:
  static constexpr float kRates[] = {0.5F, 0.1F, 0.02F, 0.3F};
  static constexpr float kFixed[] = {1, -2, 3, 4};
  std::vector<Acceleration> parts_;
};

TEST(Acceleration, FindsTheFixedPointOfALinearMap) {
  Iteration plain(0), accelerated(4);
  for (int k = 0; k < 8; ++k) {
    plain.step();
    accelerated.step();
  }
  EXPECT_GT(plain.distance(), 2);
  EXPECT_LT(accelerated.distance(), 0.01);
  // The mean over workers is that of the extrapolated parts.
  EXPECT_NEAR(accelerated.mean[0], (accelerated.c[0] + accelerated.c[2]) / 2, 1e-5);
  EXPECT_NEAR(accelerated.mean[1], (accelerated.c[1] + accelerated.c[3]) / 2, 1e-5);
}

TEST(Acceleration, NeedsLessThanAllSteps) {
  Iteration plain(0), accelerated(2);
  for (int k = 0; k < 20; ++k) {
    plain.step();
    accelerated.step();
  }
  EXPECT_LT(accelerated.distance(), plain.distance() / 100);
}

TEST(Acceleration, GoesBackAfterAMiss) {
  Iteration iteration(3);
  for (int k = 0; k < 3; ++k) iteration.step();
  const double before = iteration.distance();
  iteration.step(100);  // much larger than all changes
  EXPECT_LE(iteration.distance(), before * 1.5);
}

TEST(Acceleration, RestsWhereNothingMoves) {
  Acceleration acceleration(2, 1);
  acceleration.begin();
  std::vector<float> own = {3}, mean = {3};
  for (int k = 0; k < 5; ++k) {
    const std::vector<double> sums(3);
    acceleration.products(std::vector<float>{0});
    acceleration.extrapolate(sums, own, mean);
    EXPECT_EQ(own[0], 3);
  }
}

TEST(Acceleration, RefusesImpossibleScalars) {
  Acceleration acceleration(2, 1);
  std::vector<double> scalars;
  acceleration.append_scalars(scalars);
  EXPECT_EQ(scalars.size(), acceleration.scalar_count());
  acceleration.set_scalars(scalars);
  for (const auto& [place, value] : {std::pair<std::size_t, double>{0, 4}, {0, -1}, {1, 3}}) {
    std::vector<double> wrong = scalars;
    wrong[place] = value;
    EXPECT_THROW(acceleration.set_scalars(wrong), Error);
  }
}

}  // namespace
}  // namespace lambdaml::optim::admm
