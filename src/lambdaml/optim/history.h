#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace lambdaml::optim {

double dot_product(std::span<const float> a, std::span<const float> b);
double dot_product(std::span<const double> a, std::span<const double> b);

/// The newest steps and the gradient's change over each of them: an approximation of the inverse
/// Hessian (Nocedal, Wright 2006: "Numerical Optimization", algorithm 7.4).
class History {
 public:
  /// Keeps up to `capacity` steps of `size` parameters, for which begin() takes the memory.
  History(std::size_t capacity, std::size_t size) : capacity_(capacity), size_(size) {}
  /// Before anything else. Keeps what there is.
  void begin();
  /// Of its vectors, once it has begun.
  std::uint64_t bytes() const { return 2 * capacity_ * size_ * sizeof(float); }

  /// What is known about the curvature of each parameter before any step, inverted and up to a
  /// common factor: the diagonal of the first approximation. Empty: all are the same. Must stay in
  /// place.
  void set_scales(std::span<const float> scales) { scales_ = scales; }

  /// Adds a step and the gradient's change, in place of the oldest pair when full. A pair without
  /// positive curvature, which has nothing to say about a minimum, is left out. Doubles are kept as
  /// floats, by which the curvature is judged: which way to go needs no more digits.
  void add(std::span<const float> step, std::span<const float> change);
  void add(std::span<const double> step, std::span<const double> change);
  void clear() { count_ = next_ = 0; }
  /// As if the function had another `curvature`/2 ‖w‖² in it, from the beginning.
  void add_curvature(double curvature);
  bool empty() const { return count_ == 0; }

  /// Replaces v by H · v. H is the diagonal of the scales when empty.
  void multiply(std::span<double> v) const;

  /// For checkpoints: the pairs' floats, and their number and place as doubles.
  std::span<float> steps() { return steps_; }
  std::span<float> changes() { return changes_; }
  static constexpr std::size_t kScalars = 2;
  void append_scalars(std::vector<double>& scalars) const;
  /// Throws data_corrupt for numbers that are out of range.
  void set_scalars(std::span<const double> scalars);

 private:
  void multiply_by_scales(double factor, std::span<double> v) const;
  std::span<const float> step(std::size_t pair) const {
    return std::span(steps_).subspan(pair * size_, size_);
  }
  std::span<const float> change(std::size_t pair) const {
    return std::span(changes_).subspan(pair * size_, size_);
  }
  /// Place of the pair that is `age` pairs older than the newest.
  std::size_t place(std::size_t age) const { return (next_ + capacity_ - 1 - age) % capacity_; }

  std::size_t capacity_;
  std::size_t size_;
  std::span<const float> scales_;
  std::size_t count_ = 0;
  std::size_t next_ = 0;  ///< where the next pair goes
  std::vector<float> steps_;
  std::vector<float> changes_;
};

}  // namespace lambdaml::optim
