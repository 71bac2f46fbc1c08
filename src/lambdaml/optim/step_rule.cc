#include "lambdaml/optim/step_rule.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "lambdaml/base/error.h"
#include "lambdaml/model/network.h"
#include "lambdaml/optim/square_sum.h"

namespace lambdaml::optim {
namespace {

/// In the order of StepRule::Kind.
std::vector<std::string> rule_names() { return {"sgd", "nesterov", "adam", "adamw", "lars"}; }

/// As PyTorch's clip_grad_norm_.
constexpr double kClipSlack = 1e-6;

double squared_norm(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * value;
  return sum;
}

}  // namespace

std::vector<Option> step_options() {
  const std::vector<Option::Need> needs = {{"optimizer", {"adam", "adamw"}}};
  return {{.name = "optimizer",
           .default_value = std::string("sgd"),
           .help = "how a step follows from the gradient",
           .choices = rule_names()},
          {.name = "momentum",
           .default_value = 0.0,
           .help = "momentum of gradient steps; new jobs with nesterov or lars have 0.9",
           .minimum = 0,
           .maximum = 0.9999,
           .needs = {{"optimizer", {"sgd", "nesterov", "lars"}}}},
          {.name = "adam_beta1",
           .default_value = 0.9,
           .help = "how much of the first moment Adam keeps in a step",
           .minimum = 0,
           .maximum = 0.999999,
           .needs = needs},
          {.name = "adam_beta2",
           .default_value = 0.999,
           .help = "how much of the second moment Adam keeps in a step",
           .minimum = 0,
           .maximum = 0.999999,
           .needs = needs},
          {.name = "adam_epsilon",
           .default_value = 1e-8,
           .help = "added to the root of the second moment",
           .above = 0,
           .needs = needs}};
}

std::vector<Option> norm_options() {
  return {{.name = "clip_norm",
           .default_value = 0.0,
           .help = "gradients of a larger norm are scaled down to it; 0: none are",
           .minimum = 0},
          {.name = "lars_trust",
           .default_value = 0.001,
           .help = "length of a step of lars beside that of the weights, for a learning rate of 1",
           .above = 0,
           .needs = {{"optimizer", {"lars"}}}}};
}

StepRule::StepRule(const model::GradientModel& model, const Options& options, double l2)
    : momentum_(static_cast<float>(options.real("momentum"))),
      beta1_(options.real("adam_beta1")),
      beta2_(options.real("adam_beta2")),
      epsilon_(options.real("adam_epsilon")),
      l2_(l2),
      clip_norm_(options.real("clip_norm")),
      trust_(options.real("lars_trust")),
      learned_(model.learned()) {
  const std::vector<std::string> names = rule_names();
  const auto found = std::ranges::find(names, options.text("optimizer"));
  if (found == names.end())
    fail(Code::internal, "no rule for the optimizer '{}'", options.text("optimizer"));
  kind_ = static_cast<Kind>(found - names.begin());
  if (is_nesterov() && momentum_ == 0)
    fail(Code::invalid_argument, "nesterov is a form of momentum: give --momentum above 0");
  const auto penalized = model.penalized();
  const auto is_penalized = [&](std::size_t i) {
    return std::ranges::any_of(
        penalized, [&](const auto& range) { return range.first <= i && i < range.second; });
  };
  // Cut where a treatment may change: at the ends of pieces and of penalized ranges.
  std::vector<std::size_t> cuts = {0, learned_};
  for (std::size_t at = 0; const model::Model::Piece& piece : model.pieces()) {
    const std::size_t size = model::elements(piece);
    if (is_lars() && at + size <= learned_ && size > 0 && is_penalized(at))
      trusted_.emplace_back(at, at + size);
    at += size;
    cuts.push_back(std::min(at, learned_));
  }
  for (const auto& [begin, end] : penalized) {
    cuts.push_back(std::min(begin, learned_));
    cuts.push_back(std::min(end, learned_));
  }
  std::ranges::sort(cuts);
  for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
    if (cuts[i] == cuts[i + 1]) continue;
    Segment segment{cuts[i], cuts[i + 1], is_penalized(cuts[i]), kNone};
    for (std::size_t g = 0; g < trusted_.size(); ++g)
      if (trusted_[g].first <= segment.begin && segment.end <= trusted_[g].second)
        segment.group = g;
    if (!segments_.empty() && segments_.back().is_penalized == segment.is_penalized &&
        segments_.back().group == segment.group)
      segments_.back().end = segment.end;
    else
      segments_.push_back(segment);
  }
}

std::vector<std::string> StepRule::moments() const {
  if (is_adam()) return {"first_moment", "second_moment"};
  if (momentum_ != 0 || is_lars()) return {"velocity"};
  return {};
}

std::size_t StepRule::norm_numbers() const {
  return needs_norms() ? groups() * SquareSum::kNumbers : 0;
}

void StepRule::measure(std::size_t begin, std::span<const float> gradient,
                       std::span<double> sums) const {
  std::vector<SquareSum> squares(groups());
  for (const Segment& segment : segments_) {
    const std::size_t from = std::max(segment.begin, begin);
    const std::size_t to = std::min(segment.end, begin + gradient.size());
    if (from >= to) continue;
    squares[segment.group == kNone ? trusted_.size() : segment.group].add(
        gradient.subspan(from - begin, to - from));
  }
  for (std::size_t g = 0; g < squares.size(); ++g) {
    const auto numbers = squares[g].numbers();
    for (std::size_t i = 0; i < numbers.size(); ++i)
      sums[g * SquareSum::kNumbers + i] += numbers[i];
  }
}

float StepRule::clip_for(double square) const {
  return clips() ? static_cast<float>(std::min(1.0, clip_norm_ / (std::sqrt(square) + kClipSlack)))
                 : 1.0F;
}

float StepRule::clip_of(std::span<const float> sums, double scale) const {
  return clips() ? clip_for(squared_norm(sums) * scale * scale) : 1.0F;
}

StepRule::Factors StepRule::factors(double lr, double step, std::span<const double> sums,
                                    std::span<const float> parameters) const {
  Factors out{.lr = lr, .step = step, .clip = 1, .trust = {}};
  if (!needs_norms()) return out;
  std::array<double, SquareSum::kNumbers> all{};
  for (std::size_t i = 0; i < sums.size(); ++i) all[i % all.size()] += sums[i];
  out.clip = clip_for(SquareSum::value(all));
  for (std::size_t g = 0; g < trusted_.size(); ++g) {
    const auto [begin, end] = trusted_[g];
    const double w = std::sqrt(squared_norm(parameters.subspan(begin, end - begin)));
    const double gradient =
        out.clip *
        std::sqrt(SquareSum::value(sums.subspan(g * SquareSum::kNumbers, SquareSum::kNumbers)));
    const bool has_norms = w > 0 && gradient > 0;
    out.trust.push_back(has_norms ? static_cast<float>(trust_ * w / (gradient + l2_ * w)) : 1.0F);
  }
  return out;
}

void StepRule::step(const Factors& factors, std::size_t begin, std::span<const float> gradient,
                    std::span<const std::span<float>> moments, std::span<float> parameters) const {
  std::vector<float*> of_segment(moments.size());
  for (const Segment& segment : segments_) {
    const std::size_t from = std::max(segment.begin, begin);
    const std::size_t to = std::min(segment.end, begin + gradient.size());
    if (from >= to) continue;
    for (std::size_t i = 0; i < moments.size(); ++i)
      of_segment[i] = moments[i].data() + (from - begin);
    step_segment(factors, {from, to, segment.is_penalized, segment.group},
                 gradient.data() + (from - begin), of_segment, parameters.data() + (from - begin));
  }
}

void StepRule::step_segment(const Factors& factors, const Segment& segment, const float* gradient,
                            std::span<float* const> moments, float* w) const {
  const std::size_t n = segment.end - segment.begin;
  const float clip = factors.clip;
  const auto lr = static_cast<float>(factors.lr);
  const float l2 = segment.is_penalized ? static_cast<float>(l2_) : 0.0F;
  switch (kind_) {
    case Kind::sgd:
      if (moments.empty()) {
        for (std::size_t i = 0; i < n; ++i) w[i] -= lr * (clip * gradient[i] + l2 * w[i]);
        return;
      }
      for (std::size_t i = 0; i < n; ++i) {
        moments[0][i] = momentum_ * moments[0][i] + (clip * gradient[i] + l2 * w[i]);
        w[i] -= lr * moments[0][i];
      }
      return;
    case Kind::nesterov:
      for (std::size_t i = 0; i < n; ++i) {
        const float g = clip * gradient[i] + l2 * w[i];
        moments[0][i] = momentum_ * moments[0][i] + g;
        w[i] -= lr * (g + momentum_ * moments[0][i]);
      }
      return;
    case Kind::lars: {
      const float rate = segment.group == kNone ? lr : lr * factors.trust[segment.group];
      for (std::size_t i = 0; i < n; ++i) {
        moments[0][i] = momentum_ * moments[0][i] + rate * (clip * gradient[i] + l2 * w[i]);
        w[i] -= moments[0][i];
      }
      return;
    }
    case Kind::adam:
    case Kind::adamw:
      break;
  }
  const bool decays = kind_ == Kind::adamw;
  const float shrink = decays && l2 != 0 ? static_cast<float>(1 - factors.lr * l2_) : 1.0F;
  const float in_gradient = decays ? 0.0F : l2;
  const auto keep1 = static_cast<float>(beta1_), take1 = static_cast<float>(1 - beta1_);
  const auto keep2 = static_cast<float>(beta2_), take2 = static_cast<float>(1 - beta2_);
  const auto rate = static_cast<float>(factors.lr / (1 - std::pow(beta1_, factors.step)));
  const auto root = static_cast<float>(std::sqrt(1 - std::pow(beta2_, factors.step)));
  const auto epsilon = static_cast<float>(epsilon_);
  float* first = moments[0];
  float* second = moments[1];
  for (std::size_t i = 0; i < n; ++i) {
    const float g = clip * gradient[i] + in_gradient * w[i];
    first[i] = keep1 * first[i] + take1 * g;
    second[i] = keep2 * second[i] + take2 * g * g;
    w[i] = shrink * w[i] - rate * first[i] / (std::sqrt(second[i]) / root + epsilon);
  }
}

}  // namespace lambdaml::optim
