#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lambdaml/optim/optimizer.h"

namespace lambdaml::optim::admm {

/// Anderson acceleration of an iteration c ← T(c) whose state c is cut over workers (Walker, Ni
/// 2011: "Anderson acceleration for fixed-point iterations", in the form whose weights add up to 1;
/// of ADMM: Zhang, Peng, Ouyang, Deng 2019). After each step, the next c is the combination
/// Σ w_j T(c_j) of the newest steps, Σ w_j = 1, that has the smallest Σ w_j g_j, where g = T(c) − c
/// is the step's change: for a linear T that is what GMRES finds. The weights depend on scalar
/// products of changes only, which workers add up, so all of them find the same ones.
///
/// T of ADMM is not linear and only does not expand, so an extrapolation may miss. When a change is
/// much larger than the smallest one remembered, the steps are forgotten, and the iteration goes on
/// from the step that had the smallest. Used by one thread.
class Acceleration {
 public:
  /// Remembers `steps` steps besides the newest one, for which begin() takes the memory. 0: none,
  /// and nothing is extrapolated.
  Acceleration(std::size_t steps, std::size_t size);
  /// Before anything else. Forgets all steps.
  void begin();
  /// Of its vectors, once it has begun; add_to() has all of them.
  std::uint64_t bytes() const { return 3 * capacity_ * size_ * sizeof(float); }

  bool is_on() const { return capacity_ > 1; }
  /// How many numbers products() are.
  std::size_t product_count() const { return capacity_; }
  /// Takes this worker's change of the newest step. Returns its scalar products with the changes
  /// that are remembered and with itself, to be added up over workers; 0 in unused places.
  std::span<const double> products(std::span<const float> change);
  /// Completes the newest step by the sums of products() over all workers, by this worker's part
  /// of T(c), and the mean of all workers' parts; replaces both by the next ones.
  void extrapolate(std::span<const double> sums, std::span<float> own, std::span<float> mean);
  /// Forgets all steps: they are of another T.
  void clear() { count_ = next_ = 0; }

  /// Everything that a checkpoint must hold.
  void add_to(State& state);
  std::size_t scalar_count() const { return 2 + gram_.size(); }
  void append_scalars(std::vector<double>& scalars) const;
  /// Throws data_corrupt for numbers that are out of range.
  void set_scalars(std::span<const double> scalars);

 private:
  std::span<float> at(std::vector<float>& vectors, std::size_t place) const {
    return std::span(vectors).subspan(place * size_, size_);
  }
  double& gram(std::size_t a, std::size_t b) { return gram_[a * capacity_ + b]; }
  std::size_t smallest_change();
  std::vector<double> weights();

  std::size_t capacity_;
  std::size_t size_;
  std::size_t count_ = 0;
  std::size_t next_ = 0;        ///< where the next step goes; places below count_ are in use
  std::vector<float> changes_;  ///< g of each step, this worker's part
  std::vector<float> owns_;     ///< T(c), this worker's part
  std::vector<float> means_;    ///< T(c), the mean over workers
  std::vector<double> gram_;    ///< scalar products of changes, over all workers
  std::vector<double> products_;
};

}  // namespace lambdaml::optim::admm
