// How a worker's training begins: which of its rows are trained on, how they are weighted and
// scaled, the optimizer, and the first parameters or those of a checkpoint.
#include <algorithm>

#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/data/partition.h"
#include "lambdaml/job/stop_condition.h"
#include "lambdaml/model/class_weights.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/model/reporting.h"
#include "lambdaml/model/scaling.h"
#include "lambdaml/optim/registry.h"
#include "lambdaml/optim/support.h"
#include "lambdaml/worker/trainer.h"

namespace lambdaml::worker {
namespace {

bool declares(const model::Plugin& plugin, const Option& option) {
  return std::ranges::find(plugin.options, option.name, &Option::name) != plugin.options.end();
}

}  // namespace

comm::Communicator& Trainer::starter() {
  const comm::Plugin& pattern = comm::registry().get(event_.options.text("sync_mode"));
  if (pattern.bulk_synchronous) return *communicator_;
  for (const comm::Plugin& other : comm::registry().entries())
    if (other.bulk_synchronous && !starter_) starter_ = make_communicator(other.name);
  return starter_ ? *starter_ : *communicator_;
}

bool Trainer::begin(control::Checkpoints& checkpoints) {
  const Deadline end = TimeBudget(membership_.deadline, 0).end_of_waits();
  if (end.passed()) fail_without_time();
  starter().wait_until(end);
  const Stopwatch clock;
  try {
    {
      const SplitRule rule = rule_of(data::OrderVersion::reshuffled);
      Split split = agree_on_split(rule, own_, starter());
      if (!split.bounds.empty()) checkpoints.set_split(split.to_json());
      take_split(rule, std::move(split));
    }
    initialize();
  } catch (const Error& error) {
    // Nothing needs to be saved: another invocation begins again.
    if (error.code() != Code::deadline_exceeded || !end.passed()) throw;
    count_wait_in_vain(clock.seconds());
    log::info("{}; to be continued", error.what());
    return false;
  }
  return true;
}

SplitRule Trainer::rule_of(data::OrderVersion version) const {
  return split_rule(event_, supervised_, supervised_ && !shape_.labels.empty(), version);
}

void Trainer::take_split(const SplitRule& rule, Split split) {
  own_ = arranged(std::move(own_), rule, split);
  training_rows_ = std::move(split.training_rows);
  const Options& options = event_.options;
  const optim::Plugin& optimizer = optim::registry().get(options.text("optim"));
  const auto batch = static_cast<std::uint64_t>(options.integer("batch_size"));
  rounds_ = data::PassRounds(training_rows_, batch, rule.version);
  // The order within a batch affects no more than rounding.
  if (rule.shuffles && rule.version >= data::OrderVersion::reshuffled && rounds_.count() > 1 &&
      !optimizer.whole_passes)
    shuffled_.emplace(own_, training_rows_[event_.worker], event_.worker, rule.seed);
  optim::Problem problem{*model_, *communicator_};
  problem.rows_per_round.assign(rounds_.count(), 0.0);
  for (const std::uint64_t rows : training_rows_) {
    problem.rows += static_cast<double>(rows);
    for (std::uint64_t round = 0; round < rounds_.count(); ++round)
      problem.rows_per_round[round] += static_cast<double>(rounds_.of(rows, round).size());
  }
  problem.own_rows = static_cast<double>(training_rows_[event_.worker]);
  epochs_ = static_cast<std::uint64_t>(options.integer(optimizer.epochs_option));
  problem.epochs = epochs_;
  anything_to_evaluate_ = supervised_ && (problem.rows < static_cast<double>(event_.data.rows()) ||
                                          (event_.test && event_.test->rows() > 0));
  problem.bulk_synchronous = comm::registry().get(options.text("sync_mode")).bulk_synchronous;
  all_rows_ = problem.rows;
  if (event_.data.weights > 0 && !(split.weights > 0))
    fail(Code::invalid_argument,
         "the weights of all training rows are 0, so that nothing can be learned: hold fewer rows "
         "out, or give more rows a weight above 0");
  // Where no mean of losses is minimized, a row counts as often as it weighs.
  const bool is_relative = dynamic_cast<const model::GradientModel*>(model_.get()) != nullptr;
  if (split.weights > 0 && is_relative) weight_scale_ = all_rows_ / split.weights;
  optimizer_ = optimizer.make(std::move(problem), optim::with_l2_for(options, split.weights));
  wrap_optimizer();
}

void Trainer::wrap_optimizer() {
  if (declares(plugin_, model::class_weight_option()) && shape_.classes() > 0 &&
      !event_.options.text("class_weight").empty()) {
    auto with_weights = std::make_unique<WithClassWeights>(std::move(optimizer_), shape_.classes());
    class_weights_ = with_weights.get();
    optimizer_ = std::move(with_weights);
  }
  if (event_.options.integer("patience") > 0) {
    auto with_best = std::make_unique<WithBest>(std::move(optimizer_));
    best_ = with_best.get();
    optimizer_ = std::move(with_best);
    judged_ = judged_metric();
  }
  if (declares(plugin_, model::scale_option()) &&
      model::may_scale(event_.options, event_.data.sparse)) {
    auto with_scaling = std::make_unique<WithScaling>(std::move(optimizer_), shape_.features);
    scaling_ = with_scaling.get();
    optimizer_ = std::move(with_scaling);
  }
}

model::ReportedMetric Trainer::judged_metric() const {
  const bool holds_out = supervised_ && all_rows_ < static_cast<double>(event_.data.rows());
  const model::RowSet rows = holds_out ? model::RowSet::valid : model::RowSet::train;
  for (const model::ReportedMetric& reported : model::epoch_metrics(plugin_))
    if (reported.is_first && reported.rows == rows) return reported;
  fail(Code::internal, "the model {} has no metric that patience could judge by", plugin_.name);
}

void Trainer::initialize() {
  comm::Communicator& communicator = starter();
  if (scaling_ != nullptr) {
    const data::Scaling chosen =
        model::choose_scaling(event_.options, own_.data.slice(0, training_rows_[event_.worker]),
                              event_.data.sparse, all_rows_, communicator);
    if (!chosen.empty()) scaling_->scaling() = chosen;
  }
  scale_rows();
  choose_class_weights(communicator);
  weigh_rows();
  const std::size_t count = model_->parameter_count();
  std::vector<float> parameters(optimizer_->starts() * count);
  const model::Batch rows = own_.batch(0, training_rows_[event_.worker]);
  const data::RowNumbers numbers =
      data::row_numbers(event_.data.part_rows, event_.worker, event_.data.in_order);
  const auto seed = static_cast<std::uint64_t>(event_.options.integer("seed"));
  if (!initial_.empty()) copy_initial(std::span(parameters).first(count));
  for (std::uint64_t i = initial_.empty() ? 0 : 1; i < optimizer_->starts(); ++i)
    model_->initialize({.rows = rows,
                        .first_row = numbers.first,
                        .row_stride = numbers.stride,
                        .communicator = communicator,
                        .seed = i == 0 ? seed : mix({seed, i})},
                       std::span(parameters).subspan(i * count, count));
  optimizer_->prepare(rows, communicator);
  communicator_->seek(communicator.round());
  starter_.reset();
  optimizer_->begin(parameters);
}

void Trainer::copy_initial(std::span<float> parameters) const {
  if (initial_.size() != parameters.size())
    fail(Code::internal, "a model of {} parameters cannot start from {}", parameters.size(),
         initial_.size());
  std::ranges::copy(initial_, parameters.begin());
  if (scaling_ != nullptr && scaling_->scales()) model_->scale(scaling_->scaling(), parameters);
}

void Trainer::scale_rows() {
  set_penalty_factors();
  if (scaling_ == nullptr || !scaling_->scales()) return;
  own_.data = data::scaled(own_.data, scaling_->scaling());
  test_.data = data::scaled(test_.data, scaling_->scaling());
}

void Trainer::set_penalty_factors() {
  const auto* model = dynamic_cast<const model::GradientModel*>(model_.get());
  if (model == nullptr) return;
  const data::Scaling none;
  std::vector<float> factors =
      model->penalty_factors(scaling_ == nullptr ? none : scaling_->scaling());
  if (!factors.empty()) optimizer_->set_penalty_factors(std::move(factors));
}

void Trainer::choose_class_weights(comm::Communicator& communicator) {
  if (class_weights_ == nullptr) return;
  std::vector<double> rows;
  if (model::are_balanced(event_.options)) {
    rows.resize(shape_.classes());
    for (std::size_t i = 0; i < training_rows_[event_.worker]; ++i)
      if (own_.targets[i] >= 0) rows[static_cast<std::size_t>(own_.targets[i])] += weight_of_row(i);
    communicator.merge({{}, rows}, comm::Meaning::state);
  }
  std::ranges::copy(model::class_weights(event_.options, shape_, rows),
                    class_weights_->weights().begin());
}

void Trainer::weigh_rows() {
  if (class_weights_ == nullptr && event_.data.weights == 0) return;
  own_.weights.resize(own_.size());
  for (std::size_t i = 0; i < own_.size(); ++i) {
    double weight = weight_of_row(i);
    if (class_weights_ != nullptr && own_.targets[i] >= 0)
      weight *= class_weights_->weights()[static_cast<std::size_t>(own_.targets[i])];
    own_.weights[i] = static_cast<float>(weight);
  }
}

double Trainer::weight_of_row(std::size_t row) const {
  return own_.data.weights.empty() ? 1 : weight_scale_ * own_.data.weights[row];
}

bool Trainer::restore(control::Checkpoints& checkpoints, const Start& start) {
  const SplitRule rule = rule_of(checkpoints.keep_order());
  const std::string saved = checkpoints.split();
  take_split(rule, rule.needs_merges() ? Split::from_json(saved, event_.workers(), rule.classes)
                                       : agree_on_split(rule, own_, *communicator_));
  // State vectors get their sizes from begin(); their content from the checkpoint.
  optimizer_->begin(std::vector<float>(optimizer_->starts() * model_->parameter_count()));
  std::string ended_by;
  if (start.suspended_at) {
    cursor_ = *start.suspended_at;
    checkpoints.restore_suspension(*optimizer_, *communicator_);
  } else {
    checkpoints.restore(start.progress, *optimizer_, *communicator_);
    ended_by = checkpoints.note(start.progress).ended_by;
  }
  scale_rows();
  weigh_rows();
  epoch_ = start.progress.epoch;
  if (goes_on_after(ended_by)) ended_by.clear();
  if (!ended_by.empty())
    ended_by_ = ended_by;
  else if (epoch_ < epochs_)
    ended_by_ = job::kPaused;
  return !ended_by.empty() || epoch_ >= last_epoch();
}

bool Trainer::goes_on_after(const std::string& ended_by) const {
  const bool has_more = epoch_ < epochs_;
  return has_more &&
         (ended_by == "epochs" || (ended_by == "until" && event_.options.text("until").empty()));
}

}  // namespace lambdaml::worker
