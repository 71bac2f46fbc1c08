#include "lambdaml/optim/minimizer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/optim/support.h"

namespace lambdaml::optim {
namespace {

/// How much of the decrease that the slope promises a step must bring (Armijo's condition).
constexpr double kSufficient = 1e-4;
/// Differences of losses below this share of the objective mean nothing.
template <class Real>
constexpr double kNoise = std::is_same_v<Real, float> ? 1e-7 : 1e-13;
/// How often the slopes at a step and at its end make it shorter.
constexpr int kMostInterpolations = 6;
/// The steps that are tried where a step along the quasi-Newton direction was refused.
constexpr std::size_t kShorterSteps = 4;

/// The minimum of the cubic through the values and slopes at 0 and 1 (Nocedal, Wright, 3.59).
double cubic_minimum(double value0, double slope0, double value1, double slope1) {
  const double theta = 3 * (value0 - value1) + slope0 + slope1;
  const double root = std::sqrt(std::max(0.0, theta * theta - slope0 * slope1));
  const double t = (root - slope0 + theta) / (2 * root - slope0 + slope1);
  return std::isfinite(t) ? std::clamp(t, 0.05, 0.7) : 0.5;
}

}  // namespace

template <class Real>
std::array<double, BasicMinimizer<Real>::kWindow> BasicMinimizer<Real>::no_values() {
  std::array<double, kWindow> out{};
  out.fill(std::numeric_limits<double>::infinity());
  return out;
}

template <class Real>
BasicMinimizer<Real>::BasicMinimizer(BasicObjective<Real> objective, std::size_t memory,
                                     std::size_t parameters)
    : objective_(std::move(objective)), parameters_(parameters), history_(memory, parameters) {}

template <class Real>
std::uint64_t BasicMinimizer<Real>::bytes() const {
  constexpr std::size_t kVectors = 5;
  return history_.bytes() + (kVectors + kMostSteps) * parameters_ * sizeof(Real);
}

template <class Real>
std::uint64_t BasicMinimizer<Real>::state_bytes() const {
  return history_.bytes() + kSavedVectors * parameters_ * sizeof(Real);
}

template <class Real>
void BasicMinimizer<Real>::begin(std::span<const Real> w) {
  history_.begin();
  w_.assign(w.begin(), w.end());
  trial_ = w_;
  for (std::vector<Real>* vector : {&gradient_, &direction_, &steepest_})
    vector->assign(w_.size(), Real{0});
  started_ = searching_ = is_along_steepest_ = is_chosen_ = false;
  values_ = no_values();
  points_.clear();
}

template <class Real>
const std::vector<std::vector<Real>>& BasicMinimizer<Real>::points() {
  if (!points_.empty()) return points_;
  objective_.steepest(w_, gradient_, steepest_);
  for (const double length : lengths_) {
    if (length == 0) break;
    objective_.move(w_, length, direction_, steepest_, points_.emplace_back(w_.size()));
  }
  return points_;
}

template <class Real>
std::span<const double> BasicMinimizer<Real>::lengths() const {
  if (!objective_.is_smooth()) return {};
  const auto end = std::find(lengths_.begin(), lengths_.end(), 0.0);
  return std::span(lengths_).first(static_cast<std::size_t>(end - lengths_.begin()));
}

template <class Real>
double BasicMinimizer<Real>::change_along(std::span<const Real> steepest,
                                          std::span<const Real> point) const {
  double sum = 0;
  for (std::size_t i = 0; i < w_.size(); ++i)
    sum += static_cast<double>(steepest[i]) * (static_cast<double>(point[i]) - w_[i]);
  return sum;
}

template <class Real>
typename BasicMinimizer<Real>::Answer BasicMinimizer<Real>::take_gradient(
    double mean_loss, std::span<Real> gradient) {
  objective_.add_penalty_gradient(trial_, gradient);
  const double value = mean_loss + objective_.penalty(trial_);
  const bool finite = std::isfinite(value) && std::isfinite(dot_product(gradient, gradient));
  if (!started_) {
    if (!finite) return Answer::not_finite;
    started_ = true;
    accept(value, gradient);
    first_norm_ = norm_;
    if (norm_ == 0) return Answer::stuck;
    if (history_.empty())
      search_along_steepest();
    else
      propose();
    return Answer::more;
  }
  objective_.steepest(w_, gradient_, steepest_);
  const double expected = promised(trial_);
  if (!finite || !is_sufficient(value, expected, gradient)) {
    const bool is_last_resort = is_along_steepest_ && !is_chosen_;
    if (finite && (is_last_resort || is_noise(value)) && interpolate_slopes(expected, gradient))
      return Answer::more;
    if (is_last_resort) return Answer::stuck;
    search_along_direction(finite, value, expected, gradient);
    return Answer::more;
  }
  for (std::size_t i = 0; i < w_.size(); ++i) {
    direction_[i] = trial_[i] - w_[i];
    gradient_[i] = gradient[i] - gradient_[i];
  }
  history_.add(direction_, gradient_);
  accept(value, gradient);
  return Answer::moved;
}

/// Whether the objective at the trial differs from that at w by no more than rounding.
template <class Real>
bool BasicMinimizer<Real>::is_noise(double value) const {
  return value <= value_ + kNoise<Real> * std::abs(value_);
}

/// The slope at the trial along the step to it, where that is the gradient. An L1 penalty has one
/// too: that of the steepest direction there, along the step as it was cut off at 0.
template <class Real>
double BasicMinimizer<Real>::slope_at_trial(std::span<const Real> gradient) const {
  if (objective_.is_smooth() && length_ == 1) return dot_product(gradient, direction_);
  if (objective_.is_smooth()) return change_along(gradient, trial_);
  std::vector<Real> steepest(w_.size());
  objective_.steepest(trial_, gradient, steepest);
  return change_along(steepest, trial_);
}

/// Whether the step to `trial_`, where that is the gradient, is to be taken.
template <class Real>
bool BasicMinimizer<Real>::is_sufficient(double value, double expected,
                                         std::span<const Real> gradient) const {
  if (is_chosen_ || value <= value_ + kSufficient * expected) return true;
  // Where the values differ by no more than their noise, the slopes decide (Hager, Zhang 2005: the
  // approximate Wolfe condition).
  return is_noise(value) && slope_at_trial(gradient) <= -0.8 * expected;
}

/// Makes the trial shorter, to where the slope is 0 if it is linear: where losses are of no use.
/// Returns whether it has; not if that was done often enough.
template <class Real>
bool BasicMinimizer<Real>::interpolate_slopes(double expected, std::span<const Real> gradient) {
  const double shorter = length_ * expected / (expected - slope_at_trial(gradient));
  if (!(shorter > 0 && shorter < length_) || interpolations_ == kMostInterpolations) return false;
  ++interpolations_;
  length_ = shorter;
  objective_.move(w_, length_, direction_, steepest_, trial_);
  return true;
}

/// Makes the trial, of which that is the gradient, the current parameters.
template <class Real>
void BasicMinimizer<Real>::accept(double value, std::span<Real> gradient) {
  w_ = trial_;
  std::copy(gradient.begin(), gradient.end(), gradient_.begin());
  value_ = value;
  objective_.steepest(w_, gradient_, steepest_);
  norm_ = std::sqrt(dot_product(steepest_, steepest_));
  std::rotate(values_.begin(), values_.begin() + 1, values_.end());
  values_.back() = value;
  is_chosen_ = false;
}

template <class Real>
double BasicMinimizer<Real>::decrease() const {
  return (values_.front() - value_) / (kWindow * std::abs(value_));
}

/// Sets the trial to the unit step of the quasi-Newton direction.
template <class Real>
void BasicMinimizer<Real>::propose() {
  std::vector<double> v(steepest_.begin(), steepest_.end());
  history_.multiply(v);
  for (double& value : v) value = -value;
  objective_.align(w_, steepest_, v);
  std::copy(v.begin(), v.end(), direction_.begin());
  is_along_steepest_ = false;
  searching_ = false;
  length_ = 1;
  interpolations_ = 0;
  if (!(dot_product(steepest_, direction_) < 0)) return search_along_steepest();
  objective_.move(w_, length_, direction_, steepest_, trial_);
}

template <class Real>
void BasicMinimizer<Real>::search_along_steepest() {
  history_.clear();
  std::vector<double> descent(steepest_.begin(), steepest_.end());
  history_.multiply(descent);
  double slope = 0;
  for (std::size_t i = 0; i < w_.size(); ++i) {
    direction_[i] = -static_cast<Real>(descent[i]);
    slope += descent[i] * steepest_[i];
  }
  is_along_steepest_ = true;
  searching_ = true;
  double length = 2 * value_ / slope;
  for (double& each : lengths_) {
    each = length;
    length /= 4;
  }
  points_.clear();
}

/// Searches among steps shorter than that to `trial_`, which was refused.
template <class Real>
void BasicMinimizer<Real>::search_along_direction(bool finite, double value, double expected,
                                                  std::span<const Real> gradient) {
  searching_ = true;
  lengths_.fill(0);
  const bool known = finite && objective_.is_smooth();
  double length =
      length_ * (known ? cubic_minimum(value_, expected, value, slope_at_trial(gradient)) : 0.5);
  for (double& each : std::span(lengths_).first(kShorterSteps)) {
    each = length;
    length /= 4;
  }
  points_.clear();
}

template <class Real>
typename BasicMinimizer<Real>::Answer BasicMinimizer<Real>::take_losses(
    std::span<const double> mean_losses) {
  points();  // a worker without rows has not asked for them
  std::size_t best = points_.size();
  double lowest = 0;
  for (std::size_t k = 0; k < points_.size(); ++k) {
    const double value = mean_losses[k] + objective_.penalty(points_[k]);
    if (!(value <= value_ + kSufficient * promised(points_[k]))) continue;
    if (best < points_.size() && value >= lowest) continue;
    best = k;
    lowest = value;
  }
  if (best < points_.size()) {
    trial_ = points_[best];
    searching_ = false;
    is_chosen_ = true;
    return Answer::more;
  }
  if (!is_along_steepest_) {
    search_along_steepest();
    return Answer::more;
  }
  // The last resort, where the losses say nothing: the slopes.
  length_ = lengths_.back();
  if (!(length_ > 0) || points_.empty()) return Answer::stuck;
  trial_ = points_.back();
  searching_ = is_chosen_ = false;
  interpolations_ = 0;
  return Answer::more;
}

template <class Real>
State BasicMinimizer<Real>::state() {
  if constexpr (kIsDouble)
    return {{"steps", history_.steps()}, {"changes", history_.changes()}};
  else
    return {{"parameters", w_},          {"trial", trial_},
            {"gradient", gradient_},     {"direction", direction_},
            {"steps", history_.steps()}, {"changes", history_.changes()}};
}

template <class Real>
std::size_t BasicMinimizer<Real>::scalar_count() const {
  return kScalars + (kIsDouble ? kSavedVectors * w_.size() : 0);
}

template <class Real>
std::vector<double> BasicMinimizer<Real>::scalars() const {
  std::vector<double> out = {value_, norm_, first_norm_, length_, 1.0 * interpolations_};
  for (const bool flag : {started_, searching_, is_along_steepest_, is_chosen_})
    out.push_back(flag ? 1 : 0);
  history_.append_scalars(out);
  out.insert(out.end(), lengths_.begin(), lengths_.end());
  out.insert(out.end(), values_.begin(), values_.end());
  if constexpr (kIsDouble)
    for (const std::vector<Real>* vector : {&w_, &trial_, &gradient_, &direction_})
      out.insert(out.end(), vector->begin(), vector->end());
  return out;
}

template <class Real>
void BasicMinimizer<Real>::set_scalars(std::span<const double> scalars) {
  check_scalars(scalars, scalar_count());
  value_ = scalars[0];
  norm_ = scalars[1];
  first_norm_ = scalars[2];
  length_ = scalars[3];
  interpolations_ = static_cast<int>(std::clamp(scalars[4], 0.0, 1.0 * kMostInterpolations));
  std::size_t at = 5;
  for (bool* flag : {&started_, &searching_, &is_along_steepest_, &is_chosen_})
    *flag = scalars[at++] != 0;
  history_.set_scalars(scalars.subspan(at, History::kScalars));
  at += History::kScalars;
  for (double& length : lengths_) length = scalars[at++];
  for (double& value : values_) value = scalars[at++];
  if constexpr (kIsDouble)
    for (std::vector<Real>* vector : {&w_, &trial_, &gradient_, &direction_})
      for (Real& value : *vector) value = scalars[at++];
  points_.clear();
}

template class BasicMinimizer<float>;
template class BasicMinimizer<double>;

}  // namespace lambdaml::optim
