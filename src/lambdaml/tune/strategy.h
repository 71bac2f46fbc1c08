#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "lambdaml/tune/leg.h"
#include "lambdaml/tune/space.h"

namespace lambdaml::tune {

/// What a strategy knows of the search.
struct Plan {
  Space space;
  std::uint64_t seed = 1;
  std::uint64_t trials = 0;       ///< at most; 0: as many as the strategy thinks right
  std::uint64_t concurrency = 1;  ///< legs under way at the same time, at most
  bool higher_is_better = false;
  Options settings;  ///< of the search, with the strategy's own
  /// The epochs of a trial with these values when nobody stops it.
  std::function<std::uint64_t(const Assignments&)> epochs;
};

/// Decides what is tried. What it decides depends on the plan and on the legs so far alone, not on
/// the time or the order in which they end: the same search twice is the same, and a tuner that
/// takes over from another goes on as that would have.
class Strategy {
 public:
  explicit Strategy(Plan plan) : plan_(std::move(plan)) {}
  virtual ~Strategy() = default;

  const Plan& plan() const { return plan_; }
  /// The epochs of a trial when nobody stops it.
  std::uint64_t whole_epochs(std::uint64_t trial) const { return plan_.epochs(parameters(trial)); }

  /// How many trials there will be.
  virtual std::uint64_t trials() const = 0;
  /// The values of trial `trial` < trials(). Costs no time.
  virtual Assignments parameters(std::uint64_t trial) const = 0;
  /// Epochs of all legs together, as far as can be told: for the display.
  virtual std::uint64_t expected_epochs() const = 0;

  struct Next {
    enum class What {
      start,
      wait,    ///< for a leg that is under way
      finish,  ///< nothing will be started any more
    };
    What what = What::finish;
    std::uint64_t trial = 0;
    std::uint64_t epochs = 0;
  };
  /// The leg to start after `legs`, all those begun so far in the order in which they were. To be
  /// called with ever longer histories of the same search.
  virtual Next next(std::span<const Leg> legs) = 0;

 private:
  const Plan plan_;
};

/// A strategy that runs each trial to its end, one after another.
class WholeTrials : public Strategy {
 public:
  using Strategy::Strategy;
  std::uint64_t expected_epochs() const final;
  Next next(std::span<const Leg> legs) final;
};

}  // namespace lambdaml::tune
