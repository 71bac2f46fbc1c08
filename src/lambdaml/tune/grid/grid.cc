#include <algorithm>
#include <numeric>

#include "lambdaml/base/error.h"
#include "lambdaml/base/rng.h"
#include "lambdaml/tune/registry.h"

namespace lambdaml::tune::grid {
namespace {

constexpr std::uint64_t kMostPoints = 10'000;
constexpr std::uint64_t kCountablePoints = 1ULL << 53;

/// The parameter with each of its values once.
Parameter with_distinct_values(Parameter parameter) {
  std::vector<Option::Value> distinct;
  for (const Option::Value& value : parameter.choices)
    if (std::ranges::find(distinct, value) == distinct.end()) distinct.push_back(value);
  parameter.choices = std::move(distinct);
  return parameter;
}

/// Every combination of the parameters' values; the last parameter changes fastest.
class GridSearch : public WholeTrials {
 public:
  explicit GridSearch(const StrategyInputs& inputs) : WholeTrials(inputs) {
    for (const Parameter& given : inputs.space.parameters()) {
      const Parameter& parameter = parameters_.emplace_back(with_distinct_values(given));
      const auto own = static_cast<std::uint64_t>(inputs.settings.integer("points"));
      sizes_.push_back(parameter.count().value_or(parameter.low == parameter.high ? 1 : own));
      if (sizes_.back() > kCountablePoints / points_)
        fail(Code::invalid_argument,
             "the grid has more points than can be counted; use the strategy random");
      points_ *= sizes_.back();
    }
    if (points_ > kMostPoints && inputs.trials == 0)
      fail(Code::invalid_argument,
           "the grid has {} points, more than {}: say how many of them with --trials, or use the "
           "strategy random",
           points_, kMostPoints);
    if (inputs.trials > 0 && inputs.trials < points_) choose_some();
  }

  std::uint64_t trials() const override {
    return inputs().trials > 0 ? std::min(inputs().trials, points_) : points_;
  }

  Assignments parameters(std::uint64_t trial) const override {
    std::uint64_t point = (start_ + static_cast<__uint128_t>(trial) * stride_) % points_;
    Assignments out(parameters_.size());
    for (std::size_t i = parameters_.size(); i-- > 0;) {
      out[i] = {parameters_[i].name, parameters_[i].point(point % sizes_[i], sizes_[i])};
      point /= sizes_[i];
    }
    return out;
  }

 private:
  /// If there are fewer trials than points: those at a random stride that is coprime to their
  /// number, so that none is repeated.
  void choose_some() {
    Rng rng(mix({inputs().seed, points_}));
    start_ = rng.below(points_);
    do {
      stride_ = 1 + rng.below(points_ - 1);
    } while (std::gcd(stride_, points_) != 1);
  }

  std::vector<Parameter> parameters_;
  std::vector<std::uint64_t> sizes_;
  std::uint64_t points_ = 1;
  std::uint64_t start_ = 0;
  std::uint64_t stride_ = 1;
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add(
      {.name = "grid",
       .help = "every combination of values",
       .options = {{.name = "points",
                    .default_value = std::int64_t{10},
                    .help = "grid: values of a parameter that is a real number",
                    .minimum = 1,
                    .maximum = 1e6}},
       .make = [](const StrategyInputs& inputs) { return std::make_unique<GridSearch>(inputs); }});
}

}  // namespace lambdaml::tune::grid
