#include "lambdaml/optim/history.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "lambdaml/base/error.h"
#include "lambdaml/tensor/kernels.h"

namespace lambdaml::optim {
namespace {

template <class Real>
double dot_in_double(std::span<const Real> a, std::span<const double> b) {
  // Several sums, so that an addition need not wait for the one before.
  constexpr std::size_t kSums = 8;
  std::array<double, kSums> sums{};
  std::size_t i = 0;
  for (; i + kSums <= a.size(); i += kSums)
    for (std::size_t k = 0; k < kSums; ++k) sums[k] += a[i + k] * b[i + k];
  double sum = 0;
  for (; i < a.size(); ++i) sum += a[i] * b[i];
  for (const double part : sums) sum += part;
  return sum;
}

void add_multiple(double factor, std::span<const float> of, std::span<double> to) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += factor * of[i];
}

}  // namespace

double dot_product(std::span<const float> a, std::span<const float> b) {
  return tensor::dot(a.size(), a.data(), b.data());
}
double dot_product(std::span<const double> a, std::span<const double> b) {
  return dot_in_double(a, b);
}

void History::begin() {
  steps_.resize(capacity_ * size_);
  changes_.resize(capacity_ * size_);
}

void History::add(std::span<const float> step, std::span<const float> change) {
  const double curvature = dot_product(step, change);
  if (!(curvature > 1e-10 * std::sqrt(dot_product(step, step) * dot_product(change, change))))
    return;
  const auto at = static_cast<std::ptrdiff_t>(next_ * size_);
  std::ranges::copy(step, steps_.begin() + at);
  std::ranges::copy(change, changes_.begin() + at);
  next_ = (next_ + 1) % capacity_;
  count_ = std::min(count_ + 1, capacity_);
}

void History::add(std::span<const double> step, std::span<const double> change) {
  // What is kept decides: rounding may leave nothing of the curvature.
  std::vector<float> rounded_step(step.size()), rounded_change(change.size());
  const auto rounded = [](double value) { return static_cast<float>(value); };
  std::ranges::transform(step, rounded_step.begin(), rounded);
  std::ranges::transform(change, rounded_change.begin(), rounded);
  add(std::span<const float>(rounded_step), std::span<const float>(rounded_change));
}

void History::add_curvature(double curvature) {
  for (std::size_t i = 0; i < steps_.size(); ++i)
    changes_[i] = static_cast<float>(changes_[i] + curvature * steps_[i]);
}

void History::multiply(std::span<double> v) const {
  if (empty()) return multiply_by_scales(1, v);
  std::vector<double> factors(count_), curvatures(count_);
  for (std::size_t age = 0; age < count_; ++age) {
    const auto s = step(place(age)), y = change(place(age));
    curvatures[age] = dot_product(s, y);
    factors[age] = dot_in_double(s, v) / curvatures[age];
    add_multiple(-factors[age], y, v);
  }
  const auto newest = change(place(0));
  double squares = 0;
  if (scales_.empty())
    squares = dot_product(newest, newest);
  else
    for (std::size_t i = 0; i < size_; ++i)
      squares += static_cast<double>(newest[i]) * newest[i] * scales_[i];
  multiply_by_scales(curvatures[0] / squares, v);
  for (std::size_t age = count_; age-- > 0;) {
    const auto s = step(place(age)), y = change(place(age));
    add_multiple(factors[age] - dot_in_double(y, v) / curvatures[age], s, v);
  }
}

void History::multiply_by_scales(double factor, std::span<double> v) const {
  for (std::size_t i = 0; i < v.size(); ++i) v[i] *= scales_.empty() ? factor : factor * scales_[i];
}

void History::append_scalars(std::vector<double>& scalars) const {
  scalars.push_back(static_cast<double>(count_));
  scalars.push_back(static_cast<double>(next_));
}

void History::set_scalars(std::span<const double> scalars) {
  const auto in_range = [&](double value, std::size_t most) {
    return value >= 0 && value <= static_cast<double>(most) && value == std::floor(value);
  };
  if (!in_range(scalars[0], capacity_) || !in_range(scalars[1], capacity_ - 1))
    fail(Code::data_corrupt, "the state of lbfgs: its number of steps is not possible");
  count_ = static_cast<std::size_t>(scalars[0]);
  next_ = static_cast<std::size_t>(scalars[1]);
}

}  // namespace lambdaml::optim
