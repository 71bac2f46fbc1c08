#include "lambdaml/optim/admm/acceleration.h"

#include <algorithm>
#include <cmath>

#include "lambdaml/base/error.h"
#include "lambdaml/optim/support.h"
#include "lambdaml/tensor/kernels.h"

namespace lambdaml::optim::admm {
namespace {

/// A change whose square is this many times the smallest one's is a miss.
constexpr double kMiss = 4;
/// What is added to the diagonal of the scalar products, as a part of its mean: changes are floats,
/// and nearly parallel ones would get large weights of both signs.
constexpr double kRegularization = 1e-8;

/// Solves a · x = b for a symmetric positive definite matrix of n rows, in place of b. Returns
/// false if it is not one.
bool solve(std::vector<double>& a, std::vector<double>& b) {
  const std::size_t n = b.size();
  for (std::size_t j = 0; j < n; ++j) {  // Cholesky's factor, in the lower triangle
    for (std::size_t i = j; i < n; ++i) {
      double sum = a[i * n + j];
      for (std::size_t k = 0; k < j; ++k) sum -= a[i * n + k] * a[j * n + k];
      if (i == j && !(sum > 0)) return false;
      a[i * n + j] = i == j ? std::sqrt(sum) : sum / a[j * n + j];
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < i; ++k) b[i] -= a[i * n + k] * b[k];
    b[i] /= a[i * n + i];
  }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t k = i + 1; k < n; ++k) b[i] -= a[k * n + i] * b[k];
    b[i] /= a[i * n + i];
  }
  return true;
}

}  // namespace

Acceleration::Acceleration(std::size_t steps, std::size_t size)
    : capacity_(steps == 0 ? 0 : steps + 1),
      size_(size),
      gram_(capacity_ * capacity_),
      products_(capacity_) {}

void Acceleration::begin() {
  for (std::vector<float>* vectors : {&changes_, &owns_, &means_})
    vectors->assign(capacity_ * size_, 0.0F);
  clear();
}

std::span<const double> Acceleration::products(std::span<const float> change) {
  std::ranges::fill(products_, 0.0);
  if (!is_on()) return products_;
  std::ranges::copy(change, at(changes_, next_).begin());
  for (std::size_t place = 0; place < std::max(count_, next_ + 1); ++place)
    products_[place] = tensor::dot(size_, at(changes_, place).data(), change.data());
  return products_;
}

void Acceleration::extrapolate(std::span<const double> sums, std::span<float> own,
                               std::span<float> mean) {
  if (!is_on()) return;
  const std::size_t place = next_;
  std::ranges::copy(own, at(owns_, place).begin());
  std::ranges::copy(mean, at(means_, place).begin());
  count_ = std::max(count_, place + 1);
  for (std::size_t other = 0; other < count_; ++other)
    gram(place, other) = gram(other, place) = sums[other];
  next_ = (place + 1) % capacity_;
  const std::size_t best = smallest_change();
  std::vector<double> weights(count_);
  const bool is_miss = gram(place, place) > kMiss * gram(best, best);
  if (is_miss)
    weights[best] = 1;
  else
    weights = this->weights();
  const auto combine = [&](std::vector<float>& from, std::span<float> to) {
    for (std::size_t i = 0; i < size_; ++i) {
      double sum = 0;
      for (std::size_t j = 0; j < count_; ++j) sum += weights[j] * from[j * size_ + i];
      to[i] = static_cast<float>(sum);
    }
  };
  combine(owns_, own);
  combine(means_, mean);
  if (is_miss) clear();
}

std::size_t Acceleration::smallest_change() {
  std::size_t best = 0;
  for (std::size_t place = 1; place < count_; ++place)
    if (gram(place, place) < gram(best, best)) best = place;
  return best;
}

/// Of the smallest Σ w_j g_j with Σ w_j = 1: in proportion to the solution of Gram · w = 1.
std::vector<double> Acceleration::weights() {
  std::vector<double> matrix(count_ * count_), out(count_, 1.0);
  double trace = 0;
  for (std::size_t a = 0; a < count_; ++a) trace += gram(a, a);
  for (std::size_t a = 0; a < count_; ++a)
    for (std::size_t b = 0; b < count_; ++b)
      matrix[a * count_ + b] =
          gram(a, b) + (a == b ? kRegularization * trace / static_cast<double>(count_) : 0);
  double sum = 0;
  if (solve(matrix, out))
    for (const double weight : out) sum += weight;
  if (!(sum > 0)) {  // nothing moves any more
    std::ranges::fill(out, 0.0);
    out[(next_ + capacity_ - 1) % capacity_] = sum = 1;
  }
  for (double& weight : out) weight /= sum;
  return out;
}

void Acceleration::add_to(State& state) {
  if (!is_on()) return;
  state["acceleration.changes"] = changes_;
  state["acceleration.owns"] = owns_;
  state["acceleration.means"] = means_;
}

void Acceleration::append_scalars(std::vector<double>& scalars) const {
  scalars.push_back(static_cast<double>(count_));
  scalars.push_back(static_cast<double>(next_));
  scalars.insert(scalars.end(), gram_.begin(), gram_.end());
}

void Acceleration::set_scalars(std::span<const double> scalars) {
  check_scalars(scalars, scalar_count());
  const auto most = static_cast<double>(capacity_);
  if (!(scalars[0] >= 0 && scalars[0] <= most && scalars[1] >= 0 &&
        scalars[1] < std::max(most, 1.0)))
    fail(Code::data_corrupt, "the state of admm: its number of steps is not possible");
  count_ = static_cast<std::size_t>(scalars[0]);
  next_ = static_cast<std::size_t>(scalars[1]);
  std::copy(scalars.begin() + 2, scalars.end(), gram_.begin());
}

}  // namespace lambdaml::optim::admm
