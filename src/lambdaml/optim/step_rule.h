#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/model/model.h"
#include "lambdaml/optim/optimizer.h"

namespace lambdaml::optim {

/// optimizer, momentum, and those of Adam, for plug-ins that have a StepRule.
std::vector<Option> step_options();
/// clip_norm and lars_trust, for plug-ins that have a StepRule.
std::vector<Option> norm_options();

/// How a step of the learned parameters w follows from a gradient G, element by element. With
/// g = c · G + l2 · w, where the penalty is for penalized parameters only, and moments that begin
/// with 0:
///
/// `sgd`       v ← momentum · v + g,  w ← w − lr · v  (without momentum: v = g)
/// `nesterov`  v ← momentum · v + g,  w ← w − lr · (g + momentum · v)
/// `adam`      m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²  (Kingma, Ba 2015)
///             w ← w − lr / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)  in step t
/// `adamw`     w ← w − lr · l2 · w, then adam with g = c · G  (Loshchilov, Hutter 2019)
/// `lars`      v ← momentum · v + lr · λ · g,  w ← w − v  (You, Gitman, Ginsburg 2017), with
///             λ = lars_trust · ‖w‖ / (‖c · G‖ + l2 ‖w‖) for each piece of the model that is
///             penalized. For the others (biases, normalization), which the paper does not mention,
///             and where a norm is 0, λ = 1.
///
/// c is 1, or with clip_norm min(1, clip_norm / (‖G‖ + 10⁻⁶)), ‖G‖ over all learned parameters. The
/// first four, and clipping, are what PyTorch computes (momentum without dampening).
///
/// Given the factors of a step, each element is computed by itself, so every cut of the parameters
/// gives the same bits. Its functions may be called by several threads at once.
class StepRule {
 public:
  /// `l2` is the weight of the penalty. Throws invalid_argument for options that contradict each
  /// other.
  StepRule(const model::GradientModel& model, const Options& options, double l2);

  /// Whether steps are linear in the gradients so far.
  bool is_linear() const { return kind_ == Kind::sgd || kind_ == Kind::nesterov; }
  bool is_nesterov() const { return kind_ == Kind::nesterov; }
  bool is_lars() const { return kind_ == Kind::lars; }
  bool is_adam() const { return kind_ == Kind::adam || kind_ == Kind::adamw; }
  bool clips() const { return clip_norm_ > 0; }
  /// Whether the penalty is a part of g.
  bool penalizes_gradient() const { return l2_ != 0 && kind_ != Kind::adamw; }
  double momentum() const { return momentum_; }

  /// The names of the vectors of moments, each with a float for every learned parameter.
  std::vector<std::string> moments() const;

  /// The numbers that measure() adds to: 0 if factors() needs no norms of the gradient.
  std::size_t norm_numbers() const;
  /// Adds what the norms need of the gradient of the parameters from `begin` on. Exact: measures of
  /// several ranges add up to that of all, bit by bit.
  void measure(std::size_t begin, std::span<const float> gradient, std::span<double> sums) const;

  /// What all elements of a step share.
  struct Factors {
    double lr = 0;
    double step = 0;           ///< from 1 on
    float clip = 1;            ///< c
    std::vector<float> trust;  ///< λ of each piece that has one
  };
  /// `sums` of measure() over all learned parameters.
  Factors factors(double lr, double step, std::span<const double> sums,
                  std::span<const float> parameters) const;
  /// c for the gradient `scale` · sums by itself; 1 without clipping.
  float clip_of(std::span<const float> sums, double scale) const;

  /// Moves `parameters`, which are those from `begin` on. `moments` are the vectors of their
  /// moments, of the same length.
  void step(const Factors& factors, std::size_t begin, std::span<const float> gradient,
            std::span<const std::span<float>> moments, std::span<float> parameters) const;

 private:
  enum class Kind { sgd, nesterov, adam, adamw, lars };
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  /// Parameters [begin, end) of one treatment.
  struct Segment {
    std::size_t begin = 0;
    std::size_t end = 0;
    bool is_penalized = false;
    std::size_t group = kNone;  ///< in Factors::trust
  };

  bool needs_norms() const { return clips() || is_lars(); }
  std::size_t groups() const { return trusted_.size() + 1; }
  float clip_for(double square) const;
  void step_segment(const Factors& factors, const Segment& segment, const float* gradient,
                    std::span<float* const> moments, float* parameters) const;

  Kind kind_ = Kind::sgd;
  float momentum_;
  double beta1_;
  double beta2_;
  double epsilon_;
  double l2_;
  double clip_norm_;
  double trust_;
  std::size_t learned_;
  std::vector<Segment> segments_;                             ///< that cover the learned parameters
  std::vector<std::pair<std::size_t, std::size_t>> trusted_;  ///< pieces with a λ
};

}  // namespace lambdaml::optim
