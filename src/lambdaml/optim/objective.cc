#include "lambdaml/optim/objective.h"

#include <algorithm>
#include <cmath>

namespace lambdaml::optim {

template <class Real>
double BasicObjective<Real>::penalty(std::span<const Real> w) const {
  double squares = 0, sizes = 0;
  for (const auto& [begin, end] : penalized_)
    for (std::size_t i = begin; i < end; ++i) {
      const double product = factor(i) * w[i];
      squares += product * product;
      sizes += std::abs(product);
    }
  double apart = 0;
  for (std::size_t i = 0; i < anchor_.size(); ++i) {
    const double difference = static_cast<double>(w[i]) - anchor_[i];
    apart += difference * difference;
  }
  return l2_ / 2 * squares + l1_ * sizes + pull_ / 2 * apart;
}

template <class Real>
void BasicObjective<Real>::add_penalty_gradient(std::span<const Real> w,
                                                std::span<Real> gradient) const {
  for (std::size_t i = 0; i < anchor_.size(); ++i)
    gradient[i] = static_cast<Real>(gradient[i] + pull_ * (static_cast<double>(w[i]) - anchor_[i]));
  if (l2_ == 0) return;
  for (const auto& [begin, end] : penalized_)
    for (std::size_t i = begin; i < end; ++i)
      gradient[i] = static_cast<Real>(gradient[i] + l2_ * factor(i) * factor(i) * w[i]);
}

template <class Real>
void BasicObjective<Real>::add_penalty_curvatures(std::span<float> curvatures) const {
  for (const auto& [begin, end] : penalized_)
    for (std::size_t i = begin; i < end; ++i)
      curvatures[i] += static_cast<float>(l2_ * factor(i) * factor(i));
}

template <class Real>
void BasicObjective<Real>::steepest(std::span<const Real> w, std::span<const Real> gradient,
                                    std::span<Real> out) const {
  std::copy(gradient.begin(), gradient.end(), out.begin());
  if (is_smooth()) return;
  for (const auto& [begin, end] : penalized_)
    for (std::size_t i = begin; i < end; ++i) {
      const auto l1 = static_cast<Real>(l1_ * factor(i));
      if (w[i] != 0)
        out[i] = gradient[i] + std::copysign(l1, w[i]);
      else if (gradient[i] < -l1)
        out[i] = gradient[i] + l1;
      else if (gradient[i] > l1)
        out[i] = gradient[i] - l1;
      else
        out[i] = 0;
    }
}

template <class Real>
void BasicObjective<Real>::align(std::span<const Real> w, std::span<const Real> steepest,
                                 std::span<double> direction) const {
  if (is_smooth()) return;
  for (const auto& [begin, end] : penalized_)
    for (std::size_t i = begin; i < end; ++i)
      if (w[i] == 0 && direction[i] * steepest[i] >= 0) direction[i] = 0;
}

template <class Real>
void BasicObjective<Real>::move(std::span<const Real> w, double t, std::span<const Real> direction,
                                std::span<const Real> steepest, std::span<Real> next) const {
  for (std::size_t i = 0; i < w.size(); ++i) next[i] = static_cast<Real>(w[i] + t * direction[i]);
  if (is_smooth()) return;
  for (const auto& [begin, end] : penalized_)
    for (std::size_t i = begin; i < end; ++i) {
      const Real side = w[i] != 0 ? w[i] : -steepest[i];
      if (next[i] * side <= 0) next[i] = 0;
    }
}

template class BasicObjective<float>;
template class BasicObjective<double>;

}  // namespace lambdaml::optim
