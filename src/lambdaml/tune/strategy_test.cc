#include "lambdaml/tune/strategy.h"

#include <cmath>
#include <deque>
#include <set>

#include <gmock/gmock.h>

#include "lambdaml/base/error.h"
#include "lambdaml/tune/registry.h"
#include "lambdaml/tune/search.h"

namespace lambdaml::tune {
namespace {

using What = Strategy::Next::What;

const Parameter kLr{.name = "lr", .kind = Parameter::Kind::log_uniform, .low = 1e-4, .high = 10};
const Parameter kBatch{
    .name = "batch_size", .kind = Parameter::Kind::integer, .low = 10, .high = 13};
const Parameter kModel{.name = "model", .choices = {std::string("lr"), std::string("svm")}};

StrategyInputs inputs_of(std::vector<Parameter> parameters, std::uint64_t trials,
                         std::uint64_t concurrency, std::uint64_t epochs) {
  StrategyInputs inputs;
  inputs.space = Space(std::move(parameters));
  inputs.trials = trials;
  inputs.concurrency = concurrency;
  inputs.settings = search_options();
  inputs.settings.set("reduction", std::int64_t{3}, "");
  inputs.epochs = [epochs](const Assignments&) { return epochs; };
  return inputs;
}

double lr_of(const Assignments& assignments) { return std::get<double>(assignments.at(0).value); }

TEST(Space, DrawsWithinBoundsAndEvenlyInTheLogarithm) {
  const Space space({kLr, kBatch, kModel});
  std::set<std::int64_t> batches;
  std::set<std::string> models;
  int below = 0;
  constexpr int kTrials = 2000;
  for (int trial = 0; trial < kTrials; ++trial) {
    const Assignments drawn = space.draw(7, trial);
    EXPECT_GE(lr_of(drawn), 1e-4);
    EXPECT_LE(lr_of(drawn), 10);
    below += lr_of(drawn) < std::sqrt(1e-4 * 10) ? 1 : 0;
    batches.insert(std::get<std::int64_t>(drawn[1].value));
    models.insert(std::get<std::string>(drawn[2].value));
  }
  // Five standard deviations of a fair coin.
  EXPECT_NEAR(below, kTrials / 2, 5 * std::sqrt(kTrials / 4.0));
  EXPECT_THAT(batches, testing::ElementsAre(10, 11, 12, 13));
  EXPECT_THAT(models, testing::ElementsAre("lr", "svm"));
}

TEST(Space, SpreadsItsValuesAndDrawsParametersIndependently) {
  Parameter a{.name = "lr", .kind = Parameter::Kind::uniform, .low = 0, .high = 1};
  Parameter b = a;
  b.name = "momentum";
  const Space space({a, b});
  constexpr int kSeeds = 400;
  int quadrants[4] = {};
  for (int seed = 0; seed < kSeeds; ++seed) {
    std::set<int> parts;
    for (int trial = 0; trial < 16; ++trial)
      parts.insert(static_cast<int>(16 * lr_of(space.draw(seed, trial))));
    EXPECT_EQ(parts.size(), 16U) << seed;
    const Assignments first = space.draw(seed, 3);
    ++quadrants[2 * (lr_of(first) < 0.5 ? 0 : 1) +
                (std::get<double>(first[1].value) < 0.5 ? 0 : 1)];
  }
  for (const int count : quadrants)
    EXPECT_NEAR(count, kSeeds / 4, 5 * std::sqrt(kSeeds * 3 / 16.0));
}

TEST(Space, AValueDependsOnSeedTrialAndNameAlone) {
  const Space one({kLr}), more({kModel, kLr});
  EXPECT_EQ(one.draw(1, 5), one.draw(1, 5));
  EXPECT_EQ(one.draw(1, 5)[0], more.draw(1, 5)[1]);
  EXPECT_NE(one.draw(1, 5), one.draw(1, 6));
  EXPECT_NE(one.draw(1, 5), one.draw(2, 5));
}

TEST(RandomStrategies, TryNoPointTwice) {
  Parameter whole = kBatch;  // 4 values
  for (const char* name : {"random", "asha"}) {
    for (const auto& [trials, points] : {std::pair(100, 8), std::pair(5, 5)}) {
      const auto strategy = registry().get(name).make(inputs_of({whole, kModel}, trials, 1, 9));
      ASSERT_EQ(strategy->trials(), static_cast<std::uint64_t>(points)) << name;
      std::set<std::string> seen;
      for (std::uint64_t trial = 0; trial < strategy->trials(); ++trial) {
        const Assignments point = strategy->parameters(trial);
        seen.insert(to_text(point[0].value) + " " + to_text(point[1].value));
      }
      EXPECT_EQ(seen.size(), strategy->trials()) << name;
    }
    // Real numbers are drawn as ever; and so are those of a search that an old version began.
    const auto real = registry().get(name).make(inputs_of({kLr, kModel}, 20, 1, 9));
    EXPECT_EQ(real->trials(), 20U);
    EXPECT_EQ(real->parameters(7), Space({kLr, kModel}).draw(1, 7));
    StrategyInputs old = inputs_of({kModel}, 20, 1, 9);
    old.distinct_points = false;
    EXPECT_EQ(registry().get(name).make(old)->trials(), 20U);
    EXPECT_EQ(registry().get(name).make(old)->parameters(7), Space({kModel}).draw(1, 7));
  }
}

TEST(Grid, HasEveryCombinationOnce) {
  StrategyInputs inputs = inputs_of({kLr, kBatch, kModel}, 0, 1, 10);
  inputs.settings.set("points", std::int64_t{6}, "");
  const auto grid = registry().get("grid").make(inputs);
  ASSERT_EQ(grid->trials(), 6U * 4 * 2);
  std::set<std::string> seen;
  for (std::uint64_t trial = 0; trial < grid->trials(); ++trial) {
    std::string text;
    for (const Assignment& value : grid->parameters(trial)) text += to_text(value.value) + " ";
    seen.insert(text);
  }
  EXPECT_EQ(seen.size(), 48U);
  // Ends of the range are points of it, and between two neighbours lies the same factor.
  EXPECT_DOUBLE_EQ(lr_of(grid->parameters(0)), 1e-4);
  EXPECT_NEAR(lr_of(grid->parameters(8)), 1e-3, 1e-9);
  EXPECT_DOUBLE_EQ(lr_of(grid->parameters(47)), 10);
}

TEST(Grid, AValueThatIsGivenTwiceIsTriedOnce) {
  const Parameter twice{.name = "l2", .choices = {0.001, 0.1, 0.001}};
  const auto grid = registry().get("grid").make(inputs_of({twice, kModel}, 0, 1, 10));
  ASSERT_EQ(grid->trials(), 4U);
  std::set<std::string> seen;
  for (std::uint64_t trial = 0; trial < 4; ++trial)
    seen.insert(to_text(grid->parameters(trial).at(0).value) +
                to_text(grid->parameters(trial).at(1).value));
  EXPECT_EQ(seen.size(), 4U);
}

TEST(Grid, OfTooManyPointsSomeAreTakenNoneTwice) {
  Parameter wide = kBatch;
  wide.low = 1;
  wide.high = 100'000;
  try {
    registry().get("grid").make(inputs_of({wide}, 0, 1, 10));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    EXPECT_THAT(error.what(), testing::HasSubstr("--trials"));
  }
  const auto some = registry().get("grid").make(inputs_of({wide}, 500, 1, 10));
  ASSERT_EQ(some->trials(), 500U);
  std::set<std::string> seen;
  for (std::uint64_t trial = 0; trial < 500; ++trial)
    seen.insert(to_text(some->parameters(trial).at(0).value));
  EXPECT_EQ(seen.size(), 500U);
}

/// Runs a strategy as a tuner would, over segments that end in an order drawn from `order_seed`.
/// The value of a segment is |log10 lr| + 1 / epochs, so lr = 1 is best and more epochs help.
std::vector<Segment> simulate(Strategy& strategy, std::uint64_t order_seed,
                              std::set<std::uint64_t> failing = {}) {
  std::vector<Segment> segments;
  std::vector<std::size_t> running;
  std::uint64_t state = order_seed;
  while (true) {
    Strategy::Next next{.what = What::wait};
    if (running.size() < strategy.inputs().concurrency) next = strategy.next(segments);
    if (next.what == What::start) {
      running.push_back(segments.size());
      segments.push_back({.trial = next.trial, .epochs = next.epochs});
      continue;
    }
    if (running.empty()) {
      EXPECT_EQ(next.what, What::finish);
      return segments;
    }
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    const std::size_t at = (state >> 33) % running.size();
    Segment& segment = segments[running[at]];
    running.erase(running.begin() + static_cast<std::ptrdiff_t>(at));
    segment.state = failing.contains(segment.trial) ? Segment::State::failed : Segment::State::done;
    segment.epoch = segment.epochs;
    if (segment.state == Segment::State::done)
      segment.value = std::abs(std::log10(lr_of(strategy.parameters(segment.trial)))) +
                      1.0 / static_cast<double>(segment.epochs);
  }
}

std::uint64_t epochs_run(const std::vector<Segment>& segments) {
  std::map<std::uint64_t, std::uint64_t> reached;
  for (const Segment& segment : segments)
    reached[segment.trial] = std::max(reached[segment.trial], segment.epochs);
  std::uint64_t sum = 0;
  for (const auto& [trial, epochs] : reached) sum += epochs;
  return sum;
}

TEST(Asha, TakesTheBestToTheEndAndFewOthers) {
  StrategyInputs inputs = inputs_of({kLr}, 27, 4, 9);
  inputs.settings.set("min_epochs", std::int64_t{1}, "");
  const auto asha = registry().get("asha").make(inputs);
  const std::vector<Segment> segments = simulate(*asha, 1);
  std::uint64_t best = 0, closest = 0;
  double best_value = 1e9;
  for (const Segment& segment : segments)
    if (*segment.value < best_value) {
      best_value = *segment.value;
      best = segment.trial;
    }
  for (std::uint64_t trial = 1; trial < 27; ++trial)
    if (std::abs(std::log10(lr_of(asha->parameters(trial)))) <
        std::abs(std::log10(lr_of(asha->parameters(closest)))))
      closest = trial;
  EXPECT_EQ(best, closest);
  EXPECT_LE(epochs_run(segments), 27U * 9 / 2);
  EXPECT_EQ(std::count_if(segments.begin(), segments.end(),
                          [](const Segment& segment) { return segment.epochs == 1; }),
            27);
  // A segment continues the previous segment of its trial.
  std::map<std::uint64_t, std::uint64_t> reached;
  for (const Segment& segment : segments) {
    EXPECT_EQ(segment.epochs, reached[segment.trial] == 0 ? 1 : 3 * reached[segment.trial]);
    reached[segment.trial] = segment.epochs;
  }
}

TEST(Asha, DoesNotDependOnTheOrderInWhichSegmentsEnd) {
  const auto order_of = [](std::uint64_t order_seed) {
    const auto asha = registry().get("asha").make(inputs_of({kLr}, 16, 4, 10));
    std::vector<std::pair<std::uint64_t, std::uint64_t>> out;
    for (const Segment& segment : simulate(*asha, order_seed))
      out.emplace_back(segment.trial, segment.epochs);
    return out;
  };
  const auto first = order_of(1);
  for (std::uint64_t order_seed = 2; order_seed < 12; ++order_seed)
    EXPECT_EQ(order_of(order_seed), first) << order_seed;
}

TEST(Asha, GoesOnFromItsRecordsAtAnyPoint) {
  const StrategyInputs inputs = inputs_of({kLr}, 16, 4, 10);
  const std::vector<Segment> all = simulate(*registry().get("asha").make(inputs), 1);
  for (std::size_t n = 4; n < all.size(); ++n) {
    const auto fresh = registry().get("asha").make(inputs);
    const Strategy::Next next = fresh->next(std::span(all).first(n));
    ASSERT_EQ(next.what, What::start);
    EXPECT_EQ(std::pair(next.trial, next.epochs), std::pair(all[n].trial, all[n].epochs));
  }
}

TEST(Asha, FailedTrialsAreNotTakenOn) {
  const auto asha = registry().get("asha").make(inputs_of({kLr}, 9, 2, 9));
  const std::vector<Segment> all = simulate(*asha, 3, {0, 1, 2, 3, 4, 5, 6, 7});
  EXPECT_EQ(all.back().trial, 8U);
  EXPECT_EQ(all.back().epochs, 9U);
  const auto none = registry().get("asha").make(inputs_of({kLr}, 3, 2, 9));
  EXPECT_EQ(simulate(*none, 3, {0, 1, 2}).size(), 3U);
}

TEST(Asha, DoesNotSearchEpochs) {
  EXPECT_THROW(
      registry().get("asha").make(inputs_of(
          {{.name = "epochs", .kind = Parameter::Kind::integer, .low = 1, .high = 9}}, 4, 1, 9)),
      Error);
}

}  // namespace
}  // namespace lambdaml::tune
