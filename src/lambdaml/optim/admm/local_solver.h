#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "lambdaml/model/model.h"
#include "lambdaml/optim/optimizer.h"

namespace lambdaml::optim::admm {

/// One worker's problem of an outer epoch: minimizes share · (mean loss of its rows) + rho/2 ‖x −
/// target‖². Used by one thread.
class LocalSolver {
 public:
  struct Task {
    double share = 1;  ///< P · own rows / all rows
    double rho = 1;
    std::uint64_t epoch = 0;           ///< outer ones done
    std::span<const float> target;     ///< z − u
    std::span<const float> consensus;  ///< z
  };

  virtual ~LocalSolver() = default;

  /// Passes of this outer epoch, as far as is known.
  virtual std::uint64_t passes() const = 0;
  /// Of its vectors and, of these, of its part of the state; before begin().
  virtual std::uint64_t vector_bytes() const = 0;
  virtual std::uint64_t state_bytes() const = 0;
  /// Takes the memory for them.
  virtual void begin(std::span<const float> x) = 0;
  /// Begins the problem of an outer epoch.
  virtual void start(const Task& task) = 0;
  /// One batch. Returns whether x() is the solution, which is so in the last batch of a pass only.
  virtual bool step(const model::Batch& batch, const Position& position, const Task& task) = 0;
  /// The solution; the target where the worker has no rows.
  virtual std::span<const float> x() const = 0;
  /// Of this worker's rows: the loss of an epoch.
  virtual const model::Totals& totals() const = 0;

  virtual void add_to(State& state) = 0;
  virtual void append_scalars(std::vector<double>& scalars) const = 0;
  /// Restores from the front of `scalars` and returns the rest. Throws data_corrupt.
  virtual std::span<const double> take_scalars(std::span<const double> scalars) = 0;
};

/// Some passes, from the last x on, of mini-batch descent that takes the gradient of the loss and
/// then the exact proximal step of the quadratic, so that no rho is too large for it; momentum is
/// that of iPiano (Ochs, Chen, Brox, Pock 2014): x_next = prox(x − lr ∇f + momentum (x −
/// x_previous)). The mean of the last pass's iterates is the solution: the last one leans to the
/// last batches, and ADMM would come to rest there. The loss is that of the last pass. Reads `lr`
/// and its schedule, `momentum` and `epochs`, the number of passes.
std::unique_ptr<LocalSolver> make_gradient_solver(const Problem& problem, const Options& options);

/// L-BFGS from z, so that the loss is that of the common model before the epoch, until the
/// gradient's norm is a part of the first one's that shrinks from outer epoch to outer epoch, so
/// that early ones, whose target is still far off, take few passes; at most `epochs` passes. Keeps
/// the curvature that it has seen from one epoch to the next.
std::unique_ptr<LocalSolver> make_lbfgs_solver(const Problem& problem, const Options& options);

}  // namespace lambdaml::optim::admm
