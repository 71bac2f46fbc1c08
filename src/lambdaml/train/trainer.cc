#include "lambdaml/train/trainer.h"

#include <algorithm>
#include <array>

#include "lambdaml/base/error.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/data/partition.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/optim/registry.h"
#include "lambdaml/train/until.h"

namespace lambdaml::train {

model::Batch Rows::batch(std::size_t begin, std::size_t end) const {
  return {
      tensor::slice(data.features, begin, end),
      targets.empty() ? std::span<const float>() : std::span(targets).subspan(begin, end - begin)};
}

Rows with_targets(data::Dataset data, const std::vector<std::int32_t>& map) {
  Rows rows;
  rows.targets.reserve(data.labels.size());
  for (const std::int32_t label : data.labels) {
    const auto it = std::lower_bound(map.begin(), map.end(), label);
    rows.targets.push_back(it != map.end() && *it == label ? static_cast<float>(it - map.begin())
                                                           : -1.0F);
  }
  rows.data = std::move(data);
  return rows;
}

Trainer::Trainer(const TrainEvent& event, Rows own, Rows test, const comm::Membership& membership,
                 bool again)
    : event_(event),
      membership_(membership),
      again_(again),
      own_(std::move(own)),
      test_(std::move(test)) {
  const Options& options = event.options;
  communicator_ = make_communicator(options.text("sync_mode"));
  const model::Plugin& model = model::registry().get(options.text("model"));
  const optim::Plugin& optimizer = optim::registry().get(options.text("optim"));
  supervised_ = model.needs_labels;
  shape_ = {event.data.features, supervised_ ? event.data.labels : std::vector<std::int32_t>()};
  model_ = model.make(shape_, options);

  // A model without labels has nothing to validate against: it trains on every row.
  training_rows_ =
      data::training_rows(event.data.part_rows, supervised_ ? options.real("valid_ratio") : 0.0);
  const auto batch = static_cast<std::uint64_t>(options.integer("batch_size"));
  rounds_per_pass_ = data::rounds_per_pass(training_rows_, batch);
  optim::Problem problem{*model_, *communicator_};
  problem.rows_per_round.assign(rounds_per_pass_, 0.0);
  for (const std::uint64_t rows : training_rows_) {
    problem.rows += static_cast<double>(rows);
    for (std::uint64_t round = 0; round < rounds_per_pass_; ++round)
      problem.rows_per_round[round] +=
          static_cast<double>(data::batch_rows(rows, batch, round).size());
  }
  problem.own_rows = static_cast<double>(training_rows_[event.worker]);
  epochs_ = static_cast<std::uint64_t>(options.integer(optimizer.epochs_option));
  problem.epochs = epochs_;
  optimizer_ = optimizer.make(problem, options);

  anything_to_evaluate_ = supervised_ && (problem.rows < static_cast<double>(event.data.rows()) ||
                                          (event.test && event.test->rows() > 0));
}

Trainer::~Trainer() = default;

std::unique_ptr<comm::Communicator> Trainer::make_communicator(const std::string& pattern) const {
  std::unique_ptr<comm::Communicator> communicator =
      comm::registry().get(pattern).make(membership_);
  if (again_) communicator->catch_up();
  return communicator;
}

void Trainer::initialize() {
  // A model that merges to find its start needs all workers for that, also where the rest of the
  // job waits for nobody.
  const comm::Plugin* pattern = &comm::registry().get(event_.options.text("sync_mode"));
  std::unique_ptr<comm::Communicator> starter;
  for (const comm::Plugin& other : comm::registry().entries())
    if (!pattern->bulk_synchronous && other.bulk_synchronous && !starter)
      starter = make_communicator(other.name);
  comm::Communicator& communicator = starter ? *starter : *communicator_;
  std::vector<float> parameters(model_->parameter_count());
  const model::Batch rows = own_.batch(0, training_rows_[event_.worker]);
  model_->initialize({.rows = rows,
                      .first_row = event_.worker,
                      .row_stride = event_.workers(),
                      .communicator = communicator,
                      .seed = static_cast<std::uint64_t>(event_.options.integer("seed"))},
                     parameters);
  communicator_->seek(communicator.round());
  optimizer_->begin(parameters);
}

model::Totals Trainer::run_epoch(std::uint64_t epoch, const Hooks& hooks) {
  const auto batch_size = static_cast<std::uint64_t>(event_.options.integer("batch_size"));
  const std::uint64_t passes = optimizer_->passes_per_epoch();
  model::Totals totals;
  for (std::uint64_t pass = 0; pass < passes; ++pass) {
    for (std::uint64_t round = 0; round < rounds_per_pass_; ++round) {
      const data::RowRange range =
          data::batch_rows(training_rows_[event_.worker], batch_size, round);
      optim::Position at{.epoch = epoch, .pass = pass, .round = round};
      at.last_of_pass = round + 1 == rounds_per_pass_;
      at.last_of_epoch = at.last_of_pass && pass + 1 == passes;
      totals += optimizer_->step(own_.batch(range.begin, range.end), at);
      if (hooks.progress && clock_.seconds() - last_progress_s_ > 1) {
        last_progress_s_ = clock_.seconds();
        hooks.progress(epoch + 1, pass * rounds_per_pass_ + round + 1, passes * rounds_per_pass_);
      }
    }
  }
  return totals;
}

EpochMetrics Trainer::evaluate(std::uint64_t epoch, const model::Totals& trained) {
  EpochMetrics metrics;
  metrics.epoch = epoch + 1;
  metrics.values = optimizer_->metrics();
  if (!supervised_) {
    metrics.values["inertia"] = trained.loss;
    return metrics;
  }
  add_supervised("train", trained, metrics.values);
  if (!anything_to_evaluate_) return metrics;
  const std::size_t held_out = training_rows_[event_.worker];
  const model::Totals valid =
      model_->evaluate(own_.batch(held_out, own_.size()), optimizer_->parameters());
  const model::Totals test = model_->evaluate(test_.all(), optimizer_->parameters());
  std::array<double, 6> sums{valid.loss, valid.rows, valid.correct,
                             test.loss,  test.rows,  test.correct};
  communicator_->merge({{}, sums}, comm::Meaning::state);
  add_supervised("valid", {sums[0], sums[1], sums[2]}, metrics.values);
  add_supervised("test", {sums[3], sums[4], sums[5]}, metrics.values);
  return metrics;
}

void Trainer::run(Checkpoints& checkpoints, std::optional<Progress> checkpoint,
                  const Hooks& hooks) {
  const Stopwatch all;
  const std::string& until_text = event_.options.text("until");
  const std::optional<Until> until =
      until_text.empty() ? std::nullopt : std::optional(Until::parse(until_text));
  const auto every = static_cast<std::uint64_t>(event_.options.integer("checkpoint_every"));
  const double comm_before = communicator_->seconds();

  std::uint64_t epoch = 0;
  bool done = false;
  if (checkpoint) {
    // State vectors get their sizes from begin(); their content from the checkpoint.
    optimizer_->begin(std::vector<float>(model_->parameter_count()));
    checkpoints.restore(*checkpoint, *optimizer_, *communicator_);
    epoch = checkpoint->epoch;
    const std::string ended_by = checkpoints.note(*checkpoint).ended_by;
    if (!ended_by.empty()) ended_by_ = ended_by;
    done = !ended_by.empty() || epoch >= epochs_;
  } else {
    initialize();
  }

  while (!done) {
    const Stopwatch clock;
    const double comm_at_start = communicator_->seconds();
    const model::Totals trained = run_epoch(epoch, hooks);
    EpochMetrics metrics = evaluate(epoch, trained);
    const double comm_s = communicator_->seconds() - comm_at_start;
    metrics.values["comm_s"] = comm_s;
    metrics.values["compute_s"] = std::max(0.0, clock.seconds() - comm_s);
    metrics.values["rounds"] = static_cast<double>(communicator_->round());
    ++epoch;
    done = epoch >= epochs_;
    if (until && until->holds(metrics.values)) {
      done = true;
      ended_by_ = "until";
    } else if (optimizer_->converged()) {
      done = true;
      ended_by_ = "converged";
    }
    if (event_.worker == 0) remember(metrics);
    // Told before it is saved: a worker that dies in between does the epoch again and tells it
    // again.
    if (hooks.epoch_done) hooks.epoch_done(metrics);
    if (epoch % every == 0 || done) {
      const Progress progress{epoch, communicator_->round()};
      checkpoints.save(progress, *optimizer_, *communicator_,
                       {done ? ended_by_ : "", recent_metrics()});
      communicator_->retire(progress.round);
    }
  }
  optimizer_->finish();
  epochs_done_ = epoch;
  compute_s_ += std::max(0.0, all.seconds() - (communicator_->seconds() - comm_before));
}

void Trainer::remember(const EpochMetrics& metrics) {
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
  out.train = model_->evaluate(own_.batch(0, trained), optimizer_->parameters());
  if (supervised_) {
    out.valid = model_->evaluate(own_.batch(trained, own_.size()), optimizer_->parameters());
    out.test = model_->evaluate(test_.all(), optimizer_->parameters());
  }
  compute_s_ += clock.seconds();
  return out;
}

std::span<const float> Trainer::parameters() const { return optimizer_->parameters(); }

}  // namespace lambdaml::train
