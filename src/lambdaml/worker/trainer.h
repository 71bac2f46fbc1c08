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
#include "lambdaml/model/reporting.h"
#include "lambdaml/model/rows.h"
#include "lambdaml/optim/optimizer.h"
#include "lambdaml/worker/split.h"
#include "lambdaml/worker/time_budget.h"
#include "lambdaml/worker/with_best.h"
#include "lambdaml/worker/with_class_weights.h"
#include "lambdaml/worker/with_scaling.h"

namespace lambdaml::worker {

/// One worker's totals over its own rows, with the final model.
struct FinalTotals {
  model::Totals train, valid, test;
};

enum class TrainingEnd {
  ended,
  suspended,  ///< the function's time, or run_epochs, is over; the state is saved
};

/// The training loop of one worker: batches, rounds, evaluation, checkpoints. Everything that must
/// be equal on all workers is either computed from the event alone or merged. Used by one thread.
class Trainer {
 public:
  struct Rows {
    model::Rows own;   ///< in the order of the worker's part
    model::Rows test;  ///< may be empty
  };
  /// `definition`: see model::Shape. `again`: other workers may be ahead of this one. Throws
  /// invalid_argument if model and data are incompatible.
  Trainer(const job::TrainEvent& event, Rows rows, const comm::Membership& membership, bool again,
          std::shared_ptr<const Buffer> definition = nullptr);
  ~Trainer();

  /// For a job that begins: its initial parameters, for rows as they are in the data, instead of
  /// those that the model chooses. (k-means: of the first of its starts.)
  void start_from(std::vector<float> parameters) { initial_ = std::move(parameters); }

  struct Hooks {
    std::function<void(const job::EpochMetrics&)> epoch_done;
    /// Called within an epoch. An exception ends the run.
    std::function<void()> each_second;
    /// Called at most once a second within an epoch.
    std::function<void(std::uint64_t epoch, std::uint64_t round, std::uint64_t rounds)> progress;
    /// After each merge and each checkpoint, with the seconds that it took.
    std::function<void(double seconds)> merged;
    std::function<void(double seconds)> checkpoint_saved;
  };

  /// Where to begin: at a checkpoint, or at a suspension of this worker.
  struct Start {
    control::Progress progress;
    std::optional<control::StepCursor> suspended_at =
        {};  ///< the position from checkpoints.suspension()
  };

  /// Decides with the other workers which rows are held out and initializes the model, or continues
  /// from `start`; then runs to the end or until the function's time limit is near: then the
  /// worker's state is saved, within an epoch if necessary, and another invocation continues from
  /// there with the bitwise same result. (A worker that has waited for others before its first step
  /// has nothing to save; another invocation begins again.) Saves checkpoints in `checkpoints` as
  /// the options specify. Throws invalid_argument if the optimizer cannot train the model,
  /// resource_exhausted if the time is over before the first step.
  TrainingEnd run(control::Checkpoints& checkpoints, std::optional<Start> start,
                  const Hooks& hooks);

  FinalTotals final_totals();
  /// This worker's training rows of each class; empty if the model learns no classes.
  std::vector<std::uint64_t> class_rows() const;
  /// The sum of their weights by class; empty if rows have none, or the model learns no classes.
  std::vector<double> class_weights() const;
  /// Of the model for the rows as they are in the data.
  std::vector<float> parameters() const;
  model::Model& model() { return *model_; }
  const model::Shape& shape() const { return shape_; }
  const comm::Communicator& communicator() const { return *communicator_; }
  std::uint64_t epochs_done() const { return epoch_; }
  /// Why the run ended: epochs, until, converged, patience, or stop_after if it is only paused.
  const std::string& ended_by() const { return ended_by_; }
  /// The epoch whose model is the result, of a job with patience; else 0.
  std::uint64_t best_epoch() const { return best_ != nullptr ? best_->best_epoch() : 0; }
  double compute_s() const { return compute_s_; }

  /// Patience with other workers spans a worker's invocations: call before run() with the time that
  /// earlier ones have waited since the last completed step.
  void has_waited(double seconds) { waited_before_s_ = seconds; }
  /// The same value for the next invocation; call after run().
  double waited_s() const { return waited_s_; }

 private:
  std::unique_ptr<comm::Communicator> make_communicator(const std::string& pattern) const;
  /// A communicator for merges that need all workers, even if the rest of the job does not wait:
  /// communicator_, or another one until initialize() has ended.
  comm::Communicator& starter();
  /// The merges before the first step; false when the function's time ended them.
  bool begin(control::Checkpoints& checkpoints);
  SplitRule rule_of(data::OrderVersion version) const;
  /// Arranges the rows and makes the optimizer, which depends on the rows of all workers.
  void take_split(const SplitRule& rule, Split split);
  void initialize();
  /// Those of start_from(), for scaled rows.
  void copy_initial(std::span<float> parameters) const;
  /// Chooses the weights of classes: a merge if they are balanced.
  void choose_class_weights(comm::Communicator& communicator);
  /// Weighs the rows by their own weights, of gradient models relative to the mean of the training
  /// rows', and those of their classes, as the optimizer's state says.
  void weigh_rows();
  double weight_of_row(std::size_t row) const;
  /// The held-out rows, whose losses have no weights.
  model::Batch held_out_rows() const;
  /// Makes the optimizer what `scale`, `patience` and `class_weight` need.
  void wrap_optimizer();
  /// The metric that patience judges by.
  model::ReportedMetric judged_metric() const;
  /// Judges the epoch that has ended; returns whether patience is exhausted.
  bool is_patience_over(const job::EpochMetrics& metrics);
  /// The parameters of the result, for scaled rows.
  std::span<const float> final_parameters() const;
  /// Scales the rows as the optimizer's state says.
  void scale_rows();
  void set_penalty_factors();
  [[noreturn]] void fail_without_time() const;
  std::uint64_t last_epoch() const;
  /// Goes on from a checkpoint; returns whether all epochs were done.
  bool restore(control::Checkpoints& checkpoints, const Start& start);
  /// Whether a job that had ended for that reason was given more epochs.
  bool goes_on_after(const std::string& ended_by) const;
  /// Counts an epoch, reports it, saves a checkpoint where one is due; returns whether it was the
  /// last.
  bool end_epoch(control::Checkpoints& checkpoints, const job::EpochMetrics& metrics,
                 const Hooks& hooks);
  /// The optimizer's last merges; false when the function's time ended them.
  bool finish();
  /// The rows of a step, with the seed of their random choices. Valid as ShuffledBatches::of().
  model::Batch batch_of(std::uint64_t pass, std::uint64_t step);
  /// False if the worker was suspended.
  bool run_epoch(control::Checkpoints& checkpoints, const Hooks& hooks);
  /// Does one step or evaluation; returns false if the worker was suspended instead.
  bool within_budget(control::Checkpoints& checkpoints, const std::function<void()>& work);
  /// Saves the state in before_ as of `round`.
  void suspend(control::Checkpoints& checkpoints, std::uint64_t round);
  /// Call in the handler of a wait that ended with the function's time: rethrows its error once the
  /// patience is exhausted over all invocations.
  void count_wait_in_vain(double seconds);
  job::EpochMetrics evaluate();
  /// Worker 0 puts the epochs of the last second into its checkpoints. The trigger polls several
  /// times a second, so if the job is interrupted and resumed none is lost.
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
  std::optional<ShuffledBatches> shuffled_;   ///< unless the order of rows remains
  data::PassRounds rounds_;
  std::vector<float> initial_;  ///< empty: the model chooses
  bool anything_to_evaluate_ = false;
  std::unique_ptr<comm::Communicator> communicator_;
  std::unique_ptr<comm::Communicator> starter_;  ///< null if communicator_ waits for all, and later
  std::unique_ptr<model::Model> model_;
  std::unique_ptr<optim::Optimizer> optimizer_;
  WithScaling* scaling_ = nullptr;             ///< the optimizer, if columns may be scaled
  WithBest* best_ = nullptr;                   ///< within it, of a job with patience
  WithClassWeights* class_weights_ = nullptr;  ///< within it, of a job with class_weight
  model::ReportedMetric judged_;               ///< that patience judges by
  double all_rows_ = 0;                        ///< that all workers train on
  double weight_scale_ = 1;                    ///< for weights with a mean of 1
  std::uint64_t epochs_ = 0;
  std::uint64_t epoch_ = 0;     ///< epochs done
  control::StepCursor cursor_;  ///< within the next one
  std::optional<TimeBudget> budget_;
  std::function<void(double)> merged_;  ///< of the hooks
  control::SavedState before_;          ///< the state before the step in progress
  std::uint64_t steps_here_ = 0;  ///< steps and evaluations of this invocation, waits included
  std::uint64_t done_here_ = 0;   ///< those that were not cut short
  double waited_before_s_ = 0;
  double waited_s_ = 0;
  std::string ended_by_ = "epochs";
  double compute_s_ = 0;
  double last_progress_s_ = 0;
  std::deque<std::pair<double, std::string>> recent_;  ///< time and line
  Stopwatch clock_;
};

}  // namespace lambdaml::worker
