#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "lambdaml/optim/history.h"
#include "lambdaml/optim/objective.h"
#include "lambdaml/optim/optimizer.h"

namespace lambdaml::optim {

/// Limited-memory BFGS (Nocedal, Wright 2006, algorithm 7.5), with an L1 penalty as OWL-QN (Andrew,
/// Gao 2007), as a dialogue: it says what it needs to know next, and its owner, which has the rows
/// or shares them with other workers, computes that in one pass over them. All that it does follows
/// from the answers.
///
/// The gradient at the unit step along the quasi-Newton direction comes first, so that the loss by
/// which the step is judged comes with the gradient of the next one. Only if that step is refused,
/// the losses of several shorter ones are asked for, and then the gradient at the best of them. If
/// none of them is sufficient, the history is dropped, and steps along the steepest descent are
/// tried, of 2 · 4^-k F / |slope|, k = 0 … 7: the loss is not negative, so that a longer one than
/// the first cannot be the best of a quadratic. Where the history has scales, that descent is the
/// steepest by them. Where losses differ by rounding only, a refused step is made shorter by the
/// slopes at its ends instead, and so is the shortest of a search in which no loss is lower. It
/// begins with the gradient at the initial parameters and such a search, or with a step that an
/// earlier minimization's history suggests.
///
/// Real is the type of parameters, gradients and losses: float, or double, of which losses differ
/// by rounding so much later that the slopes seldom have to decide.
template <class Real>
class BasicMinimizer {
 public:
  /// The step lengths of one search.
  static constexpr std::size_t kMostSteps = 8;
  /// Steps over which the decrease of the objective is judged.
  static constexpr std::size_t kWindow = 5;

  /// Takes no memory of the size of the model before begin().
  BasicMinimizer(BasicObjective<Real> objective, std::size_t memory, std::size_t parameters);

  /// Of its vectors, once it has begun, at most: while it compares steps.
  std::uint64_t bytes() const;
  /// Of these, what state() and scalars() have.
  std::uint64_t state_bytes() const;

  /// Begins at w. Keeps the history: clear it, or keep it where the objective has changed by a
  /// linear term only.
  void begin(std::span<const Real> w);
  BasicObjective<Real>& objective() { return objective_; }
  History& history() { return history_; }

  /// The question: the mean losses at points(), or the mean loss and gradient at trial().
  bool asks_for_losses() const { return searching_; }
  std::span<const Real> trial() const { return trial_; }
  const std::vector<std::vector<Real>>& points();
  /// The points as parameters() + t · direction() for these t; empty if they are not on a line (an
  /// L1 penalty stops parameters at 0).
  std::span<const double> lengths() const;
  std::span<const Real> direction() const { return direction_; }

  /// The answers. They return whether the current parameters have changed, or cannot get better:
  /// the end of an iteration. Penalties are not included. The gradient is overwritten.
  enum class Answer { more, moved, stuck, not_finite };
  Answer take_gradient(double mean_loss, std::span<Real> gradient);
  Answer take_losses(std::span<const double> mean_losses);
  /// Asks for the next step, after `moved`.
  void propose();

  /// At the current parameters: the objective, and the norm of its steepest direction.
  std::span<const Real> parameters() const { return w_; }
  double value() const { return value_; }
  double norm() const { return norm_; }
  double first_norm() const { return first_norm_; }
  /// The mean decrease of the objective over its newest steps, as a part of it; infinite at first.
  double decrease() const;

  /// Vectors of double are among the scalars.
  State state();
  static constexpr std::size_t kScalars = 5 + 4 + History::kScalars + kMostSteps + kWindow;
  std::size_t scalar_count() const;
  std::vector<double> scalars() const;
  /// Throws data_corrupt for numbers that are out of range. `scalars` has scalar_count(), after
  /// begin().
  void set_scalars(std::span<const double> scalars);

 private:
  static constexpr bool kIsDouble = std::is_same_v<Real, double>;
  /// Of parameters, in the state besides the history.
  static constexpr std::size_t kSavedVectors = 4;
  static std::array<double, kWindow> no_values();

  /// The change of the objective by a step from w to `point`, as that slope promises it.
  double change_along(std::span<const Real> steepest, std::span<const Real> point) const;
  /// The same by the slope at w: ≤ 0.
  double promised(std::span<const Real> point) const { return change_along(steepest_, point); }
  bool is_noise(double value) const;
  double slope_at_trial(std::span<const Real> gradient) const;
  bool is_sufficient(double value, double expected, std::span<const Real> gradient) const;
  bool interpolate_slopes(double expected, std::span<const Real> gradient);
  void accept(double value, std::span<Real> gradient);
  void search_along_steepest();
  void search_along_direction(bool finite, double value, double expected,
                              std::span<const Real> gradient);

  BasicObjective<Real> objective_;
  std::size_t parameters_;
  History history_;
  std::vector<Real> w_;
  std::vector<Real> trial_;      ///< where the next gradient is computed
  std::vector<Real> gradient_;   ///< of the objective's smooth part at w
  std::vector<Real> direction_;  ///< of the trial, or of the search
  std::vector<Real> steepest_;
  std::vector<std::vector<Real>> points_;
  double value_ = 0;
  double norm_ = 0;
  double first_norm_ = 0;
  double length_ = 1;                         ///< of the trial, in directions
  int interpolations_ = 0;                    ///< that made it
  bool started_ = false;                      ///< the gradient at the initial parameters is known
  bool searching_ = false;                    ///< compares steps
  bool is_along_steepest_ = false;            ///< the search
  bool is_chosen_ = false;                    ///< the trial is the result of a search
  std::array<double, kMostSteps> lengths_{};  ///< of the search's steps; 0: none
  std::array<double, kWindow> values_ = no_values();  ///< the newest objectives
};

using Minimizer = BasicMinimizer<float>;

}  // namespace lambdaml::optim
