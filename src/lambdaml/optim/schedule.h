#pragma once

#include <cstdint>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/optim/optimizer.h"

namespace lambdaml::optim {

/// lr, lr_schedule, lr_decay, lr_step and warmup_epochs, for plug-ins that have a LearningRate.
std::vector<Option> learning_rate_options();

/// The learning rate of each step, from the options lr, lr_schedule, lr_decay, lr_step and
/// warmup_epochs. With t the epochs done before the step, in fractions of rounds, and T the epochs
/// of the job:
///   constant  lr
///   step      lr · lr_decay^⌊whole epochs done / lr_step⌋
///   cosine    ½ lr (1 + cos(π t / T)), without restarts (Loshchilov, Hutter 2017)
///   inverse   lr / (1 + lr_decay · t)
///   linear    lr · (1 − t / T)
///   one_cycle from lr / 25 to lr along half a cosine in the first warmup_epochs (0: 30 % of T),
///   and
///             along another one to lr / 250,000 in the last step (Smith, Topin 2018; PyTorch's
///             OneCycleLR, without its cycle of the momentum)
/// With the others, in the first warmup_epochs it is multiplied by a factor that grows linearly to
/// 1, counting the step itself, so that the first step is not lost (Goyal et al. 2017, §2.2).
/// All are functions of the position alone, so a job that goes on from a checkpoint has the same.
class LearningRate {
 public:
  LearningRate(const Options& options, double epochs, std::uint64_t passes_per_epoch,
               std::uint64_t rounds_per_pass);

  double at(const Position& position) const;

  /// Whether the option lr is `auto`; then it is to be set before the first at().
  bool is_automatic() const { return automatic_; }
  void set(double lr) { lr_ = lr; }
  double lr() const { return lr_; }

 private:
  enum class Kind { constant, step, cosine, inverse, linear, one_cycle };
  double one_cycle(double done) const;

  Kind kind_;
  bool automatic_;
  double lr_;
  double decay_;
  double step_;
  double warmup_;
  double epochs_;
  double passes_;
  double rounds_;
};

}  // namespace lambdaml::optim
