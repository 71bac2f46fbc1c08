#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "lambdaml/tune/segment.h"
#include "lambdaml/tune/space.h"

namespace lambdaml::tune {

/// What a strategy knows about the search.
struct StrategyInputs {
  Space space;
  std::uint64_t seed = 1;
  std::uint64_t trials = 0;       ///< maximum; 0: decided by the strategy
  std::uint64_t concurrency = 1;  ///< maximum number of concurrent segments
  bool higher_is_better = false;
  bool distinct_points = true;  ///< false: random strategies may try a point several times
  Options settings;             ///< of the search, with the strategy's own
  /// The epochs of a trial with these values if it is not stopped early.
  std::function<std::uint64_t(const Assignments&)> epochs;
};

/// Decides which trials run. Decisions depend only on the inputs and the segments so far, not on
/// time or on the order in which segments end: a repeated search is the same, and a tuner that
/// takes over from another continues as that would have. Used by one thread.
class Strategy {
 public:
  explicit Strategy(StrategyInputs inputs) : inputs_(std::move(inputs)) {}
  virtual ~Strategy() = default;

  const StrategyInputs& inputs() const { return inputs_; }
  /// The epochs of a trial if it is not stopped early.
  std::uint64_t whole_epochs(std::uint64_t trial) const {
    return inputs_.epochs(parameters(trial));
  }

  /// The number of trials.
  virtual std::uint64_t trials() const = 0;
  /// The values of trial `trial` < trials(). Cheap.
  virtual Assignments parameters(std::uint64_t trial) const = 0;
  /// The expected epochs of all segments together, for the display.
  virtual std::uint64_t expected_epochs() const = 0;

  struct Next {
    enum class What {
      start,
      wait,    ///< for a segment in progress
      finish,  ///< no further segment will be started
    };
    What what = What::finish;
    std::uint64_t trial = 0;
    std::uint64_t epochs = 0;
  };
  /// The segment to start after `segments`, all segments begun so far in that order. Must be called
  /// with successively longer histories of the same search.
  virtual Next next(std::span<const Segment> segments) = 0;

 private:
  const StrategyInputs inputs_;
};

/// A strategy that runs each trial to its end, one after another.
class WholeTrials : public Strategy {
 public:
  using Strategy::Strategy;
  std::uint64_t expected_epochs() const final;
  Next next(std::span<const Segment> segments) final;
};

}  // namespace lambdaml::tune
