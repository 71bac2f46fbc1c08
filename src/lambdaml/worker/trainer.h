#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/comm/communicator.h"
#include "lambdaml/control/checkpoint.h"
#include "lambdaml/data/dataset.h"
#include "lambdaml/job/event.h"
#include "lambdaml/job/metrics.h"
#include "lambdaml/model/model.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/model/rows.h"
#include "lambdaml/optim/optimizer.h"
#include "lambdaml/worker/time_budget.h"

namespace lambdaml::worker {

/// What one worker has seen at the end, of its own rows, by the final model.
struct FinalTotals {
  model::Totals train, valid, test;
};

/// The loop of one worker: batches, rounds, evaluation, checkpoints. Everything that must be the
/// same on every worker is computed from the event alone or merged.
class Trainer {
 public:
  /// `test` may have no rows. `definition`: see model::Shape. `again`: other workers may have gone
  /// on without this one. Throws invalid_argument when model, optimizer and data do not fit.
  Trainer(const job::TrainEvent& event, model::Rows own, model::Rows test,
          const comm::Membership& membership, bool again,
          std::shared_ptr<const Buffer> definition = nullptr);
  ~Trainer();

  struct Hooks {
    std::function<void(const job::EpochMetrics&)> epoch_done;
    /// Within an epoch. What it throws ends the run.
    std::function<void()> each_second;
    /// At most once a second within an epoch.
    std::function<void(std::uint64_t epoch, std::uint64_t round, std::uint64_t rounds)> progress;
  };

  /// Where to begin: a checkpoint, or a suspension of this very worker.
  struct Start {
    control::Progress progress;
    std::optional<control::StepCursor> suspended_at =
        {};  ///< the place that checkpoints.suspension() told
  };
  enum class Outcome {
    ended,
    suspended,  ///< the function's time, or run_epochs, is over; the state is saved
  };

  /// Sets the initial model up, or continues from `start`, and runs to the end, or until the
  /// function's time is nearly over: then the worker's state is saved, in the midst of an epoch if
  /// need be, and another invocation goes on from there, to the bitwise same end. Checkpoints go to
  /// `checkpoints` as the options say. Throws resource_exhausted when the time is over before the
  /// first step.
  Outcome run(control::Checkpoints& checkpoints, std::optional<Start> start, const Hooks& hooks);

  FinalTotals final_totals();
  std::span<const float> parameters() const;
  const model::Model& model() const { return *model_; }
  const model::Shape& shape() const { return shape_; }
  const comm::Communicator& communicator() const { return *communicator_; }
  std::uint64_t epochs_done() const { return epoch_; }
  /// Why the run ended: epochs, until, converged, or stop_after when it is only paused.
  const std::string& ended_by() const { return ended_by_; }
  double compute_s() const { return compute_s_; }

  /// Patience with other workers spans the invocations of a worker: says, before run(), how long
  /// earlier ones have waited in vain since the last step that was done.
  void has_waited(double seconds) { waited_before_s_ = seconds; }
  /// The same for the next invocation, after run().
  double waited_s() const { return waited_s_; }

 private:
  std::unique_ptr<comm::Communicator> make_communicator(const std::string& pattern) const;
  void initialize();
  std::uint64_t last_epoch() const;
  /// Goes on from a checkpoint; returns whether all epochs were done.
  bool restore(control::Checkpoints& checkpoints, const Start& start);
  /// Counts an epoch, reports it, saves a checkpoint where one is due; returns whether it was the
  /// last.
  bool end_epoch(control::Checkpoints& checkpoints, const job::EpochMetrics& metrics,
                 const Hooks& hooks);
  /// The optimizer's last merges; false when the function's time ended them.
  bool finish();
  /// The rows of a step, with where their random choices come from.
  model::Batch batch_of(std::uint64_t pass, std::uint64_t step) const;
  /// False when the worker was suspended.
  bool run_epoch(control::Checkpoints& checkpoints, const Hooks& hooks);
  /// One step or evaluation; false when the worker was suspended instead.
  bool within_budget(control::Checkpoints& checkpoints, const std::function<void()>& work);
  /// Saves the state that before_ holds, as of `round`.
  void suspend(control::Checkpoints& checkpoints, std::uint64_t round);
  /// To be called in the handler of a wait that ended with the function's time: throws its error
  /// again once the patience is used up, over all invocations.
  void count_wait_in_vain(double seconds);
  job::EpochMetrics evaluate();
  /// The epochs of the last second go into worker 0's checkpoints: whoever watches the job looks
  /// several times a second, so of a job that is cut off and resumed none is missing.
  void remember(const job::EpochMetrics& metrics);
  std::string recent_metrics() const;

  const job::TrainEvent& event_;
  const model::Plugin& plugin_;
  const comm::Membership membership_;
  const bool again_;
  model::Shape shape_;
  bool supervised_ = true;
  model::Rows own_;
  model::Rows test_;
  std::vector<std::uint64_t> training_rows_;  ///< per worker
  std::uint64_t rounds_per_pass_ = 0;
  bool anything_to_evaluate_ = false;
  std::unique_ptr<comm::Communicator> communicator_;
  std::unique_ptr<model::Model> model_;
  std::unique_ptr<optim::Optimizer> optimizer_;
  std::uint64_t epochs_ = 0;
  std::uint64_t epoch_ = 0;     ///< epochs done
  control::StepCursor cursor_;  ///< within the next one
  std::optional<TimeBudget> budget_;
  control::SavedState before_;    ///< the step under way
  std::uint64_t steps_here_ = 0;  ///< steps and evaluations of this invocation, waits included
  std::uint64_t done_here_ = 0;   ///< those that were not cut short
  double waited_before_s_ = 0;
  double waited_s_ = 0;
  std::string ended_by_ = "epochs";
  double compute_s_ = 0;
  double last_progress_s_ = 0;
  std::deque<std::pair<double, std::string>> recent_;  ///< when, its line
  Stopwatch clock_;
};

}  // namespace lambdaml::worker
