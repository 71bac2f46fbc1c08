#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "lambdaml/tune/report.h"
#include "lambdaml/tune/search.h"
#include "lambdaml/tune/strategy.h"

namespace lambdaml::tune {

/// The progress of a search.
struct View {
  std::span<const TrialView> trials;  ///< those begun, by number
  const TrialView* best = nullptr;
  std::uint64_t trials_expected = 0;
  double cost_usd = 0;
  double seconds_left = -1;  ///< estimated; negative while nothing is known
};

/// Called about ten times a second, on the thread that runs the search.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void changed(const View&) {}
};

/// Tells an observer how a search goes on, and how long it still takes by the pace of this tuner.
/// Used by one thread.
class Progress {
 public:
  /// All of these must outlive this.
  Progress(const Search& search, const Strategy& strategy, Observer& observer)
      : search_(search), strategy_(strategy), observer_(observer) {}

  /// `trials` with what their jobs have done so far, after this tuner has worked so many seconds;
  /// it may work `allowed_s` more. At the end of the search no time is left, also if fewer epochs
  /// were needed than expected.
  void tell(std::span<const TrialView> trials, double worked_s, double allowed_s, bool is_over);

 private:
  const Search& search_;
  const Strategy& strategy_;
  Observer& observer_;
  std::optional<double> epochs_before_;  ///< that earlier tuners did
};

}  // namespace lambdaml::tune
