#include "lambdaml/optim/pass.h"

#include <algorithm>

#include "lambdaml/optim/support.h"

namespace lambdaml::optim {

template <class Real>
void BasicPass<Real>::begin() {
  sums_.assign(parameters_, 0.0);
  losses_ = {};
  totals_ = {};
}

template <class Real>
void BasicPass<Real>::add(Sums& model, const model::Batch& batch, BasicMinimizer<Real>& minimizer) {
  if (batch.rows() == 0) return;
  if (minimizer.asks_for_losses()) {
    const std::span<const double> lengths = minimizer.lengths();
    if (!lengths.empty())
      return model.add_losses_along(batch, minimizer.parameters(), minimizer.direction(), lengths,
                                    std::span(losses_).first(lengths.size()));
    const auto& points = minimizer.points();
    for (std::size_t k = 0; k < points.size(); ++k)
      losses_[k] += model.evaluate(batch, points[k]).loss;
    return;
  }
  if constexpr (std::is_same_v<Real, double>) {
    totals_ += model.accumulate(batch, minimizer.trial(), sums_);
  } else {
    scratch_.assign(sums_.size(), 0.0F);
    totals_ += model.accumulate(batch, minimizer.trial(), scratch_);
    for (std::size_t i = 0; i < sums_.size(); ++i) sums_[i] += scratch_[i];
  }
}

template <class Real>
void BasicPass<Real>::append_scalars(std::vector<double>& scalars) const {
  append(scalars, totals_);
  scalars.insert(scalars.end(), losses_.begin(), losses_.end());
  scalars.insert(scalars.end(), sums_.begin(), sums_.end());
}

template <class Real>
void BasicPass<Real>::set_scalars(std::span<const double> scalars) {
  check_scalars(scalars, scalar_count());
  totals_ = take_totals(scalars, 0);
  std::copy_n(scalars.begin() + 3, losses_.size(), losses_.begin());
  sums_.assign(scalars.begin() + 3 + static_cast<std::ptrdiff_t>(losses_.size()), scalars.end());
}

template class BasicPass<float>;
template class BasicPass<double>;

}  // namespace lambdaml::optim
