#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/comm/communicator.h"
#include "lambdaml/model/model.h"

namespace lambdaml::optim {

/// What an optimizer works on. It depends only on the contracts of model and communicator.
struct Problem {
  model::Model& model;
  comm::Communicator& communicator;
  /// Rows that each round of a pass trains on, summed over workers: the denominators of averages,
  /// known to all workers without a message.
  std::vector<double> rows_per_round = {};
  double rows = 0;               ///< trained on by all workers
  double own_rows = 0;           ///< trained on by this worker
  std::uint64_t epochs = 1;      ///< how many the caller will run, for schedules
  bool bulk_synchronous = true;  ///< every merge has the contributions of all workers
};

/// The position of a step.
struct Position {
  std::uint64_t epoch = 0;
  std::uint64_t pass = 0;   ///< within the epoch, < passes_per_epoch()
  std::uint64_t round = 0;  ///< within the pass
  bool last_of_pass = false;
  bool last_of_epoch = false;  ///< as far as is known before the step
};

/// The named vectors of a state. The spans stay valid until the next step.
using State = std::map<std::string, std::span<float>>;

/// The vectors of a state of which a worker has some ranges only, one after another, and other
/// workers the rest.
struct Cut {
  std::size_t size = 0;             ///< of the whole vectors
  std::vector<comm::Range> ranges;  ///< ascending
  std::vector<std::string> names;   ///< in the state; empty: all vectors are whole
  bool operator==(const Cut&) const = default;
};

/// Turns batches into better parameters. Used by one thread. All workers take the same steps in the
/// same order; a step that merges is a collective call. All state that a step reads is in state(),
/// so an optimizer restored from a checkpoint continues bitwise as if it had never stopped.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  /// Passes over the data in this epoch: 1, or ADMM's inner ones. The last step of a pass may add
  /// another one.
  virtual std::uint64_t passes_per_epoch() const { return 1; }
  /// Called before begin() of a new job with this worker's training rows: the place to measure what
  /// the data are like, such as for a step size. A collective call; the communicator waits for all
  /// workers. A worker that continues from a checkpoint does not call it, so what it finds belongs
  /// to the state.
  virtual void prepare(const model::Batch& rows, comm::Communicator& communicator);
  /// Sets GradientModel::penalty_factors(), after the state was restored in a worker that continues
  /// from a checkpoint. Throws invalid_argument in an optimizer that has no such factors.
  virtual void set_penalty_factors(std::vector<float> factors);
  /// The bytes of the vectors of this worker's training, at the time when they are the most:
  /// parameters, gradients, moments, and what a step needs for a while. Before begin(), and without
  /// what the model and the communicator need; 0: negligible. A job that would not fit the memory
  /// is refused by it, on the user's machine, so nothing of the size of the model exists before
  /// begin() or prepare().
  virtual std::uint64_t vector_bytes() const { return 0; }
  /// Of these, the bytes that state() and scalars() will have together, at most.
  virtual std::uint64_t state_bytes() const { return 0; }
  /// Whether the vectors that it merges are doubles: the totals of a message, which no pattern
  /// cuts.
  virtual bool merges_doubles() const { return false; }
  /// How many initial models begin() takes: several to train at once, of which the best remains.
  virtual std::size_t starts() const { return 1; }
  /// Sets the initial parameters of starts() models, one after another, the same on every worker.
  virtual void begin(std::span<const float> parameters) = 0;
  /// Processes one batch, which may be empty. Returns global totals for steps that merge and zero
  /// for others; summed over an epoch they are that epoch's totals. Throws diverged, and what the
  /// communicator throws; after an error the optimizer must be restored or dropped.
  virtual model::Totals step(const model::Batch& batch, const Position& position) = 0;
  /// Every worker calls this once after its last step (an async job may have contributions left).
  virtual void finish() {}

  /// The current model: the parameters that are evaluated, saved and used.
  virtual std::span<const float> parameters() const = 0;
  /// Whether the optimizer's own convergence criterion holds; the same on every worker.
  virtual bool converged() const { return false; }
  /// The optimizer's own metrics of an epoch, e.g. primal_residual.
  virtual std::map<std::string, double> metrics() const { return {}; }

  /// Everything that a checkpoint must hold; restoring writes into the spans.
  virtual State state() = 0;
  /// What of it this worker has in part; valid after begin().
  virtual Cut cut() const { return {}; }
  /// The numbers of the state that are not floats; set_scalars() restores them.
  virtual std::vector<double> scalars() const { return {}; }
  virtual void set_scalars(std::span<const double> scalars);
};

}  // namespace lambdaml::optim
