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

/// What an optimizer works on. It sees contracts: a model, a communicator; never which ones.
struct Problem {
  model::Model& model;
  comm::Communicator& communicator;
  /// Rows trained on by each worker in each round of a pass, summed over workers: the denominators
  /// of averages, agreed without a message.
  std::vector<double> rows_per_round = {};
  double rows = 0;           ///< trained on by all workers
  double own_rows = 0;       ///< trained on by this worker
  std::uint64_t epochs = 1;  ///< how many the caller will run, for schedules
};

/// Where a step stands.
struct Position {
  std::uint64_t epoch = 0;
  std::uint64_t pass = 0;   ///< within the epoch, < passes_per_epoch()
  std::uint64_t round = 0;  ///< within the pass
  bool last_of_pass = false;
  bool last_of_epoch = false;
};

/// Named vectors that make up a state; names are unique. The spans stay valid until the next step.
using State = std::map<std::string, std::span<float>>;

/// Turns batches into better parameters. One thread. All workers take the same steps in the same
/// order; a step is a collective call when it merges. All state that a step reads is in state(), so
/// an optimizer restored from a checkpoint goes on bitwise as if it had never stopped.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  /// Passes over the data in one epoch: 1, or ADMM's inner ones.
  virtual std::uint64_t passes_per_epoch() const { return 1; }
  /// Takes over the initial parameters, the same on every worker.
  virtual void begin(std::span<const float> parameters) = 0;
  /// One batch (maybe empty). Returns global totals for steps that merge and zero for others;
  /// summed over an epoch they are that epoch's totals.
  virtual model::Totals step(const model::Batch& batch, const Position& position) = 0;
  /// Called once by all after the last step (of an async job there may be contributions left).
  virtual void finish() {}

  /// The model as it stands: what is evaluated, saved and used.
  virtual std::span<const float> parameters() const = 0;
  /// Whether the optimizer's own criterion holds: the same on every worker.
  virtual bool converged() const { return false; }
  /// Figures of its own for the metrics of an epoch, e.g. primal_residual.
  virtual std::map<std::string, double> metrics() const { return {}; }

  /// Everything a checkpoint must hold, to be read or, by restore, written in place.
  virtual State state() = 0;
  /// Numbers of the state that are no floats; put back by set_scalars.
  virtual std::vector<double> scalars() const { return {}; }
  virtual void set_scalars(std::span<const double> scalars);
};

}  // namespace lambdaml::optim
