#include "lambdaml/tune/draws.h"

#include <optional>
#include <set>
#include <string>

namespace lambdaml::tune {
namespace {

/// Draws per point that is wanted, at most. Of N points that are equally likely, N (ln N + c) draws
/// miss one with probability exp(-c), so this is enough for any N that a computer can try.
constexpr std::uint64_t kMostDrawsPerPoint = 100;

/// The number of points, or nullopt if a parameter is a real number or there are more than `most`.
std::optional<std::uint64_t> points_of(const Space& space, std::uint64_t most) {
  std::uint64_t points = 1;
  for (const Parameter& parameter : space.parameters()) {
    const std::optional<std::uint64_t> own = parameter.count();
    if (!own || *own > most / points) return {};
    points *= *own;
  }
  return points;
}

std::string text_of(const Assignments& point) {
  std::string text;
  for (const Assignment& assignment : point) text += to_text(assignment.value) + '\0';
  return text;
}

}  // namespace

Draws::Draws(const StrategyInputs& inputs, std::uint64_t trials)
    : space_(inputs.space), seed_(inputs.seed), size_(trials) {
  // With many more points than trials a repetition is unlikely, and costs one trial.
  constexpr std::uint64_t kManyMore = 1000;
  const std::optional<std::uint64_t> points = points_of(space_, kManyMore * trials);
  if (!inputs.distinct_points || !points) return;
  size_ = std::min(trials, *points);
  std::set<std::string> seen;
  for (std::uint64_t draw = 0; draws_.size() < size_ && draw < kMostDrawsPerPoint * size_; ++draw)
    if (seen.insert(text_of(space_.draw(seed_, draw))).second) draws_.push_back(draw);
  size_ = draws_.size();
}

Assignments Draws::at(std::uint64_t trial) const {
  return space_.draw(seed_, draws_.empty() ? trial : draws_.at(trial));
}

}  // namespace lambdaml::tune
