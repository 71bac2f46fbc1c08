#include "lambdaml/worker/trainer.h"

#include <algorithm>
#include <array>

#include "lambdaml/base/error.h"
#include "lambdaml/base/fibers/scheduler.h"
#include "lambdaml/base/log.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/job/stop_condition.h"
#include "lambdaml/model/micro_batches.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/model/reporting.h"

namespace lambdaml::worker {
namespace {

/// What a row of an evaluation takes of a row of a step: a third of a pass forth and back.
constexpr double kEvaluation = 1.0 / 3;

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
      const model::Batch batch = batch_of(cursor_.pass, cursor_.step);
      computes_with_rows(static_cast<double>(batch.rows()));
      cursor_.totals += optimizer_->step(batch, at);
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
  computes_with_rows(kEvaluation * static_cast<double>(held_out_rows().rows() + test_.size()));
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
  computes_with_rows(kEvaluation * static_cast<double>(own_.size() + test_.size()));
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
