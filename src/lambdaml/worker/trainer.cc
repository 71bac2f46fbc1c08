#include "lambdaml/worker/trainer.h"

#include <algorithm>
#include <array>

#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/data/partition.h"
#include "lambdaml/job/stop_condition.h"
#include "lambdaml/model/class_weights.h"
#include "lambdaml/model/micro_batches.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/model/reporting.h"
#include "lambdaml/model/scaling.h"
#include "lambdaml/optim/registry.h"
#include "lambdaml/optim/support.h"

namespace lambdaml::worker {
namespace {

bool declares(const model::Plugin& plugin, const Option& option) {
  return std::ranges::find(plugin.options, option.name, &Option::name) != plugin.options.end();
}

}  // namespace

Trainer::Trainer(const job::TrainEvent& event, Rows rows, const comm::Membership& membership,
                 bool again, std::shared_ptr<const Buffer> definition)
    : event_(event),
      plugin_(model::registry()
                  .get(event.options.text("model"))
                  .for_job(event.options, event.data.has_integers())),
      membership_(membership),
      again_(again),
      supervised_(plugin_.needs_labels),
      own_(std::move(rows.own)),
      test_(std::move(rows.test)) {
  shape_ = {
      event.data.features,
      supervised_ && !plugin_.predicts_numbers ? event.data.labels : std::vector<std::int32_t>(),
      std::move(definition),
      own_.data.names,
      event.data.tensors.inputs,
      event.data.tensors.target};
  model_ = model::in_micro_batches(plugin_.make(shape_, event.options),
                                   static_cast<std::size_t>(event.options.integer("micro_batch")));
  communicator_ = make_communicator(event.options.text("sync_mode"));
}

Trainer::~Trainer() = default;

std::unique_ptr<comm::Communicator> Trainer::make_communicator(const std::string& pattern) const {
  std::unique_ptr<comm::Communicator> communicator = comm::make_communicator(pattern, membership_);
  if (again_) communicator->catch_up();
  communicator->observe(merged_);
  return communicator;
}

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
    const SplitRule rule = rule_of(data::OrderVersion::reshuffled);
    const Split split = agree_on_split(rule, own_, starter());
    if (!split.bounds.empty()) checkpoints.set_split(split.to_json());
    take_split(rule, split);
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

void Trainer::take_split(const SplitRule& rule, const Split& split) {
  own_ = arranged(std::move(own_), rule, split);
  training_rows_ = split.training_rows;
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
  if (split.weights > 0) weight_scale_ = all_rows_ / split.weights;
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

bool Trainer::is_patience_over(const job::EpochMetrics& metrics) {
  if (best_ == nullptr) return false;
  const auto value = metrics.values.find(judged_.name);
  if (value == metrics.values.end())
    fail(Code::internal, "epoch {} has no {}", metrics.epoch, judged_.name);
  best_->end_epoch(metrics.epoch, judged_.metric.higher_is_better ? -value->second : value->second);
  const auto patience = static_cast<std::uint64_t>(event_.options.integer("patience"));
  return metrics.epoch - best_->best_epoch() >= patience;
}

std::span<const float> Trainer::final_parameters() const {
  return best_epoch() > 0 ? best_->best_parameters() : optimizer_->parameters();
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

model::Batch Trainer::held_out_rows() const {
  model::Batch rows = own_.batch(training_rows_[event_.worker], own_.size());
  rows.weights = {};
  return rows;
}

void Trainer::fail_without_time() const {
  fail(Code::resource_exhausted,
       "worker {}: the time of its function was over before its first step: give functions more "
       "with --timeout-s, or the data to more workers",
       event_.worker);
}

void Trainer::suspend(control::Checkpoints& checkpoints, std::uint64_t round) {
  if (steps_here_ == 0) fail_without_time();
  checkpoints.suspend({epoch_, round}, cursor_, before_, {"", recent_metrics()});
  log::info("suspended in epoch {}, pass {}, step {}", epoch_ + 1, cursor_.pass + 1,
            cursor_.step + 1);
}

bool Trainer::within_budget(control::Checkpoints& checkpoints, const std::function<void()>& work) {
  const std::uint64_t round = communicator_->round();
  if (budget_->is_over()) {
    before_.take(*optimizer_, *communicator_);
    suspend(checkpoints, round);
    return false;
  }
  const Stopwatch clock;
  const double comm_before = communicator_->seconds();
  if (!budget_->may_end_within(membership_.patience_s)) {
    work();
  } else {
    // Other workers may keep this one waiting until its time is over, within a step. A wait that
    // ends this way has changed nothing that others see: the step is repeated later and writes the
    // same bytes to the same keys.
    before_.take(*optimizer_, *communicator_);
    const Deadline end = budget_->end_of_waits();
    communicator_->wait_until(end);
    try {
      work();
    } catch (const Error& error) {
      if (error.code() != Code::deadline_exceeded || !end.passed()) throw;
      count_wait_in_vain(clock.seconds());
      log::info("{}; to be continued", error.what());
      ++steps_here_;
      suspend(checkpoints, round);
      return false;
    }
  }
  ++steps_here_;
  ++done_here_;
  budget_->saw_step(clock.seconds() - (communicator_->seconds() - comm_before));
  return true;
}

void Trainer::count_wait_in_vain(double seconds) {
  waited_s_ = seconds + (done_here_ == 0 ? waited_before_s_ : 0);
  if (waited_s_ >= membership_.patience_s) throw;
}

model::Batch Trainer::batch_of(std::uint64_t pass, std::uint64_t step) {
  const data::RowRange range = rounds_.of(training_rows_[event_.worker], step);
  model::Batch batch =
      shuffled_ ? shuffled_->of(epoch_, pass, step, range) : own_.batch(range.begin, range.end);
  const auto seed = static_cast<std::uint64_t>(event_.options.integer("seed"));
  batch.draws = {mix({seed, epoch_, pass}), range.begin * event_.workers() + event_.worker,
                 event_.workers()};
  return batch;
}

bool Trainer::run_epoch(control::Checkpoints& checkpoints, const Hooks& hooks) {
  while (cursor_.pass < optimizer_->passes_per_epoch()) {
    const std::uint64_t passes = optimizer_->passes_per_epoch();
    optim::Position at{.epoch = epoch_, .pass = cursor_.pass, .round = cursor_.step};
    at.last_of_pass = cursor_.step + 1 == rounds_.count();
    at.last_of_epoch = at.last_of_pass && cursor_.pass + 1 == passes;
    if (!at.last_of_pass) model_->expect(batch_of(cursor_.pass, cursor_.step + 1));
    const bool done = within_budget(checkpoints, [&] {
      cursor_.totals += optimizer_->step(batch_of(cursor_.pass, cursor_.step), at);
    });
    if (!done) return false;
    if (++cursor_.step == rounds_.count()) {
      cursor_.step = 0;
      ++cursor_.pass;
    }
    if (clock_.seconds() - last_progress_s_ > 1) {
      last_progress_s_ = clock_.seconds();
      if (hooks.each_second) hooks.each_second();
      if (hooks.progress)
        hooks.progress(epoch_ + 1, at.pass * rounds_.count() + at.round + 1,
                       passes * rounds_.count());
    }
  }
  return true;
}

job::EpochMetrics Trainer::evaluate() {
  job::EpochMetrics metrics;
  metrics.epoch = epoch_ + 1;
  metrics.values = optimizer_->metrics();
  model::add_metrics(plugin_, model::RowSet::train, cursor_.totals, false, metrics.values);
  if (!anything_to_evaluate_) return metrics;
  const model::Totals valid = model_->evaluate(held_out_rows(), optimizer_->parameters());
  const model::Totals test = model_->evaluate(test_.all(), optimizer_->parameters());
  std::array<double, 2 * model::kTotals> sums;
  std::ranges::copy(model::numbers_of(valid), sums.begin());
  std::ranges::copy(model::numbers_of(test), sums.begin() + model::kTotals);
  communicator_->merge({{}, sums}, comm::Meaning::state);
  const std::span merged(sums);
  model::add_metrics(plugin_, model::RowSet::valid,
                     model::totals_from(merged.first<model::kTotals>()), true, metrics.values);
  model::add_metrics(plugin_, model::RowSet::test,
                     model::totals_from(merged.last<model::kTotals>()), true, metrics.values);
  return metrics;
}

TrainingEnd Trainer::run(control::Checkpoints& checkpoints, std::optional<Start> start,
                         const Hooks& hooks) {
  const Stopwatch all;
  merged_ = hooks.merged;
  communicator_->observe(merged_);
  const auto epochs_here = static_cast<std::uint64_t>(event_.options.integer("run_epochs"));
  const double comm_before = communicator_->seconds();
  const auto end = [&](TrainingEnd how) {
    compute_s_ += std::max(0.0, all.seconds() - (communicator_->seconds() - comm_before));
    return how;
  };
  checkpoints.set_pieces(model_->pieces());
  bool done = false;
  if (start)
    done = restore(checkpoints, *start);
  else if (!begin(checkpoints))
    return end(TrainingEnd::suspended);
  std::size_t state_bytes = communicator_->snapshot().size() * sizeof(double);
  for (const auto& [name, values] : optimizer_->state()) state_bytes += values.size_bytes();
  budget_.emplace(membership_.deadline, state_bytes);

  const std::uint64_t first_epoch = epoch_;
  while (!done) {
    if (epochs_here > 0 && epoch_ - first_epoch == epochs_here) {
      before_.take(*optimizer_, *communicator_);
      suspend(checkpoints, communicator_->round());
      return end(TrainingEnd::suspended);
    }
    const Stopwatch clock;
    const double comm_at_start = communicator_->seconds();
    job::EpochMetrics metrics;
    if (!run_epoch(checkpoints, hooks) ||
        !within_budget(checkpoints, [&] { metrics = evaluate(); }))
      return end(TrainingEnd::suspended);
    const double comm_s = communicator_->seconds() - comm_at_start;
    metrics.values["comm_s"] = comm_s;
    metrics.values["compute_s"] = std::max(0.0, clock.seconds() - comm_s);
    metrics.values["rounds"] = static_cast<double>(communicator_->round());
    done = end_epoch(checkpoints, metrics, hooks);
  }
  if (steps_here_ > 0 && budget_->is_over()) return end(TrainingEnd::suspended);
  return end(finish() ? TrainingEnd::ended : TrainingEnd::suspended);
}

std::uint64_t Trainer::last_epoch() const {
  const auto stop_after = static_cast<std::uint64_t>(event_.options.integer("stop_after"));
  return stop_after > 0 ? std::min(stop_after, epochs_) : epochs_;
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

bool Trainer::end_epoch(control::Checkpoints& checkpoints, const job::EpochMetrics& metrics,
                        const Hooks& hooks) {
  ++epoch_;
  cursor_ = {};
  bool done = epoch_ >= last_epoch();
  ended_by_ = epoch_ < epochs_ ? job::kPaused : "epochs";
  const bool patience_is_over = is_patience_over(metrics);
  const std::string& until = event_.options.text("until");
  if (!until.empty() && job::StopCondition::parse(until).holds(metrics.values)) {
    done = true;
    ended_by_ = "until";
  } else if (optimizer_->converged()) {
    done = true;
    ended_by_ = "converged";
  } else if (patience_is_over) {
    done = true;
    ended_by_ = "patience";
  }
  if (event_.worker == 0) remember(metrics);
  // Reported before it is saved: a worker that dies in between repeats the epoch and reports it
  // again.
  if (hooks.epoch_done) hooks.epoch_done(metrics);
  const auto every = static_cast<std::uint64_t>(event_.options.integer("checkpoint_every"));
  if (epoch_ % every != 0 && !done) return false;
  const Stopwatch saving;
  const control::Progress progress{epoch_, communicator_->round()};
  checkpoints.save(progress, *optimizer_, *communicator_,
                   {done && ended_by_ != job::kPaused ? ended_by_ : "", recent_metrics()});
  budget_->saw_save(saving.seconds());
  if (hooks.checkpoint_saved) hooks.checkpoint_saved(saving.seconds());
  communicator_->retire(progress.round);
  return done;
}

bool Trainer::finish() {
  const Deadline end = budget_->end_of_waits();
  const Stopwatch finishing;
  try {
    communicator_->wait_until(end);
    optimizer_->finish();
  } catch (const Error& error) {
    // The last checkpoint shows that only this is left.
    if (error.code() != Code::deadline_exceeded || !end.passed()) throw;
    count_wait_in_vain(finishing.seconds());
    return false;
  }
  return true;
}

void Trainer::remember(const job::EpochMetrics& metrics) {
  constexpr double kSeconds = 1;
  recent_.emplace_back(clock_.seconds(), metrics.to_json() + "\n");
  while (recent_.size() > 1 && recent_.front().first < clock_.seconds() - kSeconds)
    recent_.pop_front();
}

std::string Trainer::recent_metrics() const {
  std::string lines;
  for (const auto& [when, line] : recent_) lines += line;
  return lines;
}

FinalTotals Trainer::final_totals() {
  const Stopwatch clock;
  FinalTotals out;
  const std::size_t trained = training_rows_[event_.worker];
  out.train = model_->evaluate(own_.batch(0, trained), final_parameters());
  if (supervised_) {
    out.valid = model_->evaluate(held_out_rows(), final_parameters());
    out.test = model_->evaluate(test_.all(), final_parameters());
  }
  compute_s_ += clock.seconds();
  return out;
}

std::vector<std::uint64_t> Trainer::class_rows() const {
  std::vector<std::uint64_t> counts(shape_.classes());
  if (counts.empty()) return counts;
  for (const float target : std::span(own_.targets).first(training_rows_[event_.worker]))
    if (target >= 0) ++counts[static_cast<std::size_t>(target)];
  return counts;
}

std::vector<double> Trainer::class_weights() const {
  if (class_weights_ == nullptr && event_.data.weights == 0) return {};
  std::vector<double> sums(shape_.classes());
  for (std::size_t i = 0; i < training_rows_[event_.worker] && !sums.empty(); ++i)
    if (own_.targets[i] >= 0) sums[static_cast<std::size_t>(own_.targets[i])] += own_.weights[i];
  return sums;
}

std::vector<float> Trainer::parameters() const {
  const std::span<const float> learned = final_parameters();
  std::vector<float> parameters(learned.begin(), learned.end());
  if (scaling_ != nullptr && scaling_->scales()) model_->unscale(scaling_->scaling(), parameters);
  return parameters;
}

}  // namespace lambdaml::worker
