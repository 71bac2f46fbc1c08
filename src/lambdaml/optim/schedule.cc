#include "lambdaml/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"

namespace lambdaml::optim {
namespace {

/// In the order of LearningRate::Kind.
std::vector<std::string> schedule_names() {
  return {"constant", "step", "cosine", "inverse", "linear", "one_cycle"};
}

/// PyTorch's defaults of OneCycleLR.
constexpr double kFirstOfCycle = 1.0 / 25;
constexpr double kLastOfCycle = kFirstOfCycle / 1e4;
constexpr double kRiseOfCycle = 0.3;

/// Half a cosine from `from` at 0 to `to` at 1.
double along_cosine(double from, double to, double at) {
  return to + (from - to) / 2 * (1 + std::cos(std::numbers::pi * std::clamp(at, 0.0, 1.0)));
}

}  // namespace

std::vector<Option> learning_rate_options() {
  return {{.name = "lr",
           .default_value = 0.1,
           .help = "learning rate; new jobs have auto, which is chosen by the data",
           .above = 0,
           .words = {"auto"},
           .aliases = {"learning_rate"}},
          {.name = "lr_schedule",
           .default_value = std::string("constant"),
           .help = "how the learning rate changes over the epochs",
           .choices = schedule_names()},
          {.name = "lr_decay",
           .default_value = 0.1,
           .help = "factor of a step, or the slope of inverse: lr / (1 + decay · epoch)",
           .minimum = 0,
           .needs = {{"lr_schedule", {"step", "inverse"}}}},
          {.name = "lr_step",
           .default_value = std::int64_t{10},
           .help = "epochs between two steps",
           .minimum = 1,
           .needs = {{"lr_schedule", {"step"}}}},
          {.name = "warmup_epochs",
           .default_value = 0.0,
           .help = "epochs over which the learning rate rises; 0 with one_cycle: 30 % of all",
           .minimum = 0,
           .aliases = {"lr_warmup"}}};
}

LearningRate::LearningRate(const Options& options, double epochs, std::uint64_t passes_per_epoch,
                           std::uint64_t rounds_per_pass)
    : automatic_(!options.real_unless_word("lr")),
      lr_(options.real_unless_word("lr").value_or(0)),
      decay_(options.real("lr_decay")),
      step_(static_cast<double>(options.integer("lr_step"))),
      warmup_(options.real("warmup_epochs")),
      epochs_(std::max(epochs, 1.0)),
      passes_(static_cast<double>(std::max<std::uint64_t>(passes_per_epoch, 1))),
      rounds_(static_cast<double>(std::max<std::uint64_t>(rounds_per_pass, 1))) {
  const std::string& name = options.text("lr_schedule");
  const std::vector<std::string> names = schedule_names();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end())
    fail(Code::invalid_argument, "unknown learning-rate schedule '{}'{}", printable(name),
         did_you_mean(name, names));
  kind_ = static_cast<Kind>(found - names.begin());
}

double LearningRate::at(const Position& position) const {
  const auto epoch = static_cast<double>(position.epoch);
  const double pass = static_cast<double>(position.pass) / passes_;
  const double round = static_cast<double>(position.round) / (passes_ * rounds_);
  const double done = epoch + pass + round;
  double lr = lr_;
  switch (kind_) {
    case Kind::constant:
      break;
    case Kind::step:
      lr *= std::pow(decay_, std::floor(epoch / std::max(step_, 1.0)));
      break;
    case Kind::cosine:
      lr *= 0.5 * (1.0 + std::cos(std::numbers::pi * std::min(done / epochs_, 1.0)));
      break;
    case Kind::inverse:
      lr /= 1.0 + decay_ * done;
      break;
    case Kind::linear:
      lr *= std::max(0.0, 1.0 - done / epochs_);
      break;
    case Kind::one_cycle:
      return lr * one_cycle(done);
  }
  if (done < warmup_) lr *= std::min(1.0, (done + 1.0 / (passes_ * rounds_)) / warmup_);
  return lr;
}

double LearningRate::one_cycle(double done) const {
  const double steps_per_epoch = passes_ * rounds_;
  const double last = std::max(epochs_ * steps_per_epoch - 1, 1.0);
  const double rise = warmup_ > 0 ? std::min(warmup_ / epochs_, 1.0) : kRiseOfCycle;
  const double peak = rise * epochs_ * steps_per_epoch - 1;
  const double step = done * steps_per_epoch;
  if (step < peak) return along_cosine(kFirstOfCycle, 1, step / peak);
  return along_cosine(1, kLastOfCycle, last > peak ? (step - peak) / (last - peak) : 0);
}

}  // namespace lambdaml::optim
