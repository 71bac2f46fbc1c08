#include "lambdaml/optim/descent.h"

#include <algorithm>
#include <array>

#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/option_sets.h"
#include "lambdaml/optim/moving_average.h"
#include "lambdaml/optim/support.h"
#include "lambdaml/tensor/kernels.h"

namespace lambdaml::optim {
namespace {

/// Where nothing is known of the model: PyTorch's for Adam, and what training from scratch often
/// takes for gradient steps.
constexpr double kUsualRate = 0.1;
constexpr double kUsualRateOfAdam = 0.001;
/// A linear model's weights are of the order of 1 on scaled columns.
constexpr double kRateOfAdamForLinear = 0.03;
/// Steps of a thousandth of the weights.
constexpr double kRateOfLars = 1;

constexpr const char* kUsualMomentum = "0.9";

}  // namespace

std::vector<Option> descent_options() {
  std::vector<Option> options = step_options();
  add_options(options, learning_rate_options());
  add_options(options, {l2_option()});
  return options;
}

std::vector<Option> averaging_options() {
  std::vector<Option> options = descent_options();
  add_options(options, norm_options());
  add_options(options,
              {{.name = "moments",
                .default_value = std::string("auto"),
                .help = "whose gradients velocity and moments are of: each worker's own, or those "
                        "of all (model_avg: averaged with the models); auto: merged for grad_avg "
                        "with adam, adamw or lars where workers wait, otherwise own",
                .choices = {"auto", "own", "merged"}},
               ema_option()});
  return options;
}

std::map<std::string, std::string> descent_defaults(const Options& given) {
  std::map<std::string, std::string> values;
  if (!given.is_set("lr")) values = {{"lr", "auto"}, {"scale", "auto"}};
  const std::string& optimizer = given.text("optimizer");
  if (optimizer == "nesterov" || optimizer == "lars") values["momentum"] = kUsualMomentum;
  return values;
}

Descent::Moments Descent::moments_of(const Options& options, bool waits) {
  const std::string& moments = options.text("moments");
  const std::string& optimizer = options.text("optimizer");
  if (moments == "merged" && !waits)
    fail(Code::invalid_argument,
         "moments merged: workers that do not wait for each other have no common moments; use "
         "--moments own, or a sync mode that waits");
  if (moments == "auto")
    return waits && optimizer != "sgd" && optimizer != "nesterov" ? Moments::merged : Moments::own;
  return moments == "merged" ? Moments::merged : Moments::own;
}

Descent::Descent(model::GradientModel& model, const Options& options, LearningRate rate,
                 double rows, Moments moments)
    : model_(model),
      rate_(rate),
      l2_(l2_weight(options, rows)),
      rows_(rows),
      rule_(model, options, l2_),
      kind_(moments),
      learned_(model.learned()) {}

void Descent::begin(std::vector<comm::Range> ranges) {
  ranges_.clear();
  std::size_t size = 0;
  for (const auto& [begin, end] : ranges) {
    if (begin >= learned_) continue;
    const std::size_t to = std::min(end, learned_);
    size += to - begin;
    if (!ranges_.empty() && ranges_.back().second == begin)
      ranges_.back().second = to;
    else
      ranges_.emplace_back(begin, to);
  }
  moments_.assign(rule_.moments().size(), {});
  for (std::vector<float>& moment : moments_) moment.assign(size, 0.0F);
  steps_ = 0;
}

/// A step of the ranges that this worker has.
class Descent::RangeStep final : public comm::ChunkStep {
 public:
  RangeStep(Descent& descent, const Position& position, std::span<const float> parameters)
      : descent_(descent), position_(position), parameters_(parameters) {}

  std::size_t scalar_count() const override { return descent_.rule_.norm_numbers(); }
  void measure(std::size_t begin, std::span<const float> sums, std::span<double> scalars) override {
    descent_.rule_.measure(begin, sums.first(learned_of(begin, sums.size())), scalars);
  }
  void begin(std::span<const double> scalars) override {
    factors_ = descent_.rule_.factors(descent_.rate_.at(position_), ++descent_.steps_, scalars,
                                      parameters_.first(descent_.learned_));
  }
  void step(std::size_t begin, std::span<const float> sums, std::span<float> result) override {
    const std::span<const float> before = parameters_.subspan(begin, sums.size());
    const std::size_t learned = learned_of(begin, sums.size());
    for (std::size_t i = learned; i < sums.size(); ++i) result[i] = before[i] + sums[i];
    if (learned == 0) return;
    std::ranges::copy(before.first(learned), result.begin());
    descent_.rule_.step(factors_, begin, sums.first(learned), moments_of(begin, learned),
                        result.first(learned));
  }

 private:
  /// How many of `size` parameters from `begin` on are learned.
  std::size_t learned_of(std::size_t begin, std::size_t size) const {
    return std::min(size, descent_.learned_ - std::min(begin, descent_.learned_));
  }
  std::vector<std::span<float>> moments_of(std::size_t begin, std::size_t size) const {
    std::size_t at = 0;
    for (const auto& [from, to] : descent_.ranges_) {
      if (from <= begin && begin + size <= to) {
        std::vector<std::span<float>> out;
        for (std::vector<float>& moment : descent_.moments_)
          out.push_back(std::span(moment).subspan(at + begin - from, size));
        return out;
      }
      at += to - from;
    }
    fail(Code::internal, "a step of the parameters from {} on, which another worker has", begin);
  }

  Descent& descent_;
  Position position_;
  std::span<const float> parameters_;
  StepRule::Factors factors_;
};

void Descent::merge_and_step(comm::Communicator& communicator, const Position& position,
                             std::span<const float> parameters, std::span<float> share,
                             model::Totals& totals) {
  RangeStep step(*this, position, parameters);
  optim::merge_and_step(communicator, share, totals, step, position);
}

void Descent::choose_rate(const model::Batch& rows, double batch_rows,
                          comm::Communicator& communicator) {
  if (!rate_.is_automatic()) return;
  if (rule_.is_lars()) return rate_.set(kRateOfLars);
  const std::optional<model::GradientModel::Smoothness> own = model_.smoothness(rows);
  if (!own || rule_.is_adam()) {
    rate_.set(!rule_.is_adam() ? kUsualRate : own ? kRateOfAdamForLinear : kUsualRateOfAdam);
    return;
  }
  const auto n = static_cast<double>(rows.rows());
  std::array<double, 3> sums{n * own->of_all, n * own->of_row, n};
  communicator.merge({{}, sums}, comm::Meaning::state);
  const double of_all = sums[0] / sums[2] + l2_, of_row = sums[1] / sums[2] + l2_;
  const double batch = std::clamp(batch_rows, 1.0, rows_);
  const double of_batch = rows_ <= 1 ? of_row
                                     : (rows_ * (batch - 1) * of_all + (rows_ - batch) * of_row) /
                                           (batch * (rows_ - 1));
  rate_.set(of_batch > 0 ? 1 / of_batch : kUsualRate);
  log::info("learning rate: {:.4g}", rate_.lr());
}

model::Totals Descent::share(const model::Batch& batch, const Position& position,
                             std::span<const float> parameters, double denominator,
                             std::span<float> share) {
  std::fill(share.begin(), share.end(), 0.0F);
  model::Totals totals;
  if (batch.rows() > 0 || model_.merges()) totals = model_.accumulate(batch, parameters, share);
  const float mean = denominator > 0 ? static_cast<float>(1.0 / denominator) : 0.0F;
  for (float& value : share.subspan(learned_)) value *= mean;
  if (kind_ == Moments::merged)
    for (float& value : share.first(learned_)) value *= mean;
  else if (rule_.is_linear())
    share_linear_step(totals, denominator, rate_.at(position), parameters, share.first(learned_));
  else
    share_own_step(totals, denominator, position, parameters, share.first(learned_));
  return totals;
}

void Descent::share_linear_step(const model::Totals& totals, double denominator, double rate,
                                std::span<const float> parameters, std::span<float> share) {
  const float mean = denominator > 0 ? static_cast<float>(1.0 / denominator) : 0.0F;
  const auto lr = static_cast<float>(rate);
  if (rule_.clips()) {
    const float clip = rule_.clip_of(share, 1.0 / std::max(totals.rows, 1.0));
    for (float& value : share) value *= clip;
  }
  if (rule_.penalizes_gradient() && totals.rows > 0)
    for (const auto& [begin, end] : model_.penalized())
      tensor::axpy(end - begin, static_cast<float>(l2_ * totals.rows), parameters.data() + begin,
                   share.data() + begin);
  if (moments_.empty()) {
    for (float& value : share) value *= -lr * mean;
    return;
  }
  const auto momentum = static_cast<float>(rule_.momentum());
  std::vector<float>& velocity = moments_[0];
  for (std::size_t i = 0; i < share.size(); ++i) {
    const float g = mean * share[i];
    velocity[i] = momentum * velocity[i] + g;
    share[i] = -lr * (rule_.is_nesterov() ? g + momentum * velocity[i] : velocity[i]);
  }
}

void Descent::share_own_step(const model::Totals& totals, double denominator,
                             const Position& position, std::span<const float> parameters,
                             std::span<float> share) {
  const auto own = static_cast<float>(1.0 / std::max(totals.rows, 1.0));
  for (float& value : share) value *= own;
  scratch_.assign(parameters.begin(), parameters.end());
  step(share, position, scratch_);
  const auto weight = denominator > 0 ? static_cast<float>(totals.rows / denominator) : 0.0F;
  for (std::size_t i = 0; i < share.size(); ++i) share[i] = weight * (scratch_[i] - parameters[i]);
}

void Descent::apply(std::span<const float> shares, const Position& position,
                    std::span<float> parameters) {
  if (kind_ == Moments::own)
    return tensor::axpy(shares.size(), 1.0F, shares.data(), parameters.data());
  step(shares.first(learned_), position, parameters);
  for (std::size_t i = learned_; i < shares.size(); ++i) parameters[i] += shares[i];
}

void Descent::step(std::span<const float> gradient, const Position& position,
                   std::span<float> parameters) {
  std::vector<double> norms(rule_.norm_numbers());
  if (!norms.empty()) rule_.measure(0, gradient, norms);
  const StepRule::Factors factors =
      rule_.factors(rate_.at(position), ++steps_, norms, parameters.first(learned_));
  rule_.step(factors, 0, gradient, moments(), parameters.first(learned_));
}

std::vector<std::span<float>> Descent::moments() { return {moments_.begin(), moments_.end()}; }

void Descent::add_to(State& state) {
  const std::vector<std::string> names = rule_.moments();
  for (std::size_t i = 0; i < moments_.size(); ++i) state[names[i]] = moments_[i];
}

Cut Descent::cut() const {
  Cut cut{.size = learned_, .ranges = ranges_, .names = rule_.moments()};
  const bool is_whole = ranges_.size() == 1 && ranges_[0] == comm::Range(0, learned_);
  return is_whole || cut.names.empty() ? Cut{} : cut;
}

std::vector<double> Descent::scalars() const {
  std::vector<double> out;
  if (rate_.is_automatic()) out.push_back(rate_.lr());
  if (rule_.is_adam()) out.push_back(steps_);
  return out;
}

std::span<const double> Descent::take_scalars(std::span<const double> scalars) {
  const std::size_t own = (rate_.is_automatic() ? 1U : 0U) + (rule_.is_adam() ? 1U : 0U);
  if (scalars.size() < own) check_scalars(scalars, own);
  if (rate_.is_automatic()) rate_.set(scalars.front());
  if (rule_.is_adam()) set_steps(scalars[own - 1]);
  return scalars.subspan(own);
}

}  // namespace lambdaml::optim
