#include "lambdaml/tune/progress.h"

#include <algorithm>

namespace lambdaml::tune {

void Progress::tell(std::span<const TrialView> trials, double worked_s, double allowed_s,
                    bool is_over) {
  View view;
  view.trials = trials;
  double epochs_done = 0;
  for (const TrialView& trial : trials) {
    view.cost_usd += trial.cost_usd;
    epochs_done += static_cast<double>(trial.state == "failed" ? trial.epochs : trial.epoch);
  }
  if (!epochs_before_) epochs_before_ = epochs_done;
  const double epochs_here = epochs_done - *epochs_before_;
  const auto expected = static_cast<double>(strategy_.expected_epochs());
  if (epochs_here > 0 && !is_over)
    view.seconds_left =
        std::min(std::max(0.0, expected - epochs_done) / epochs_here * worked_s, allowed_s);
  view.best = best_of(search_, trials);
  view.trials_expected = strategy_.trials();
  observer_.changed(view);
}

}  // namespace lambdaml::tune
