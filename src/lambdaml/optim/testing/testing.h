#pragma once

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lambdaml/data/partition.h"
#include "lambdaml/model/testing/testing.h"
#include "lambdaml/optim/registry.h"

/// Helpers for the tests of optimizers: a job without files, functions or metrics.
namespace lambdaml::optim::testing {

using model::testing::Rows;

/// The plug-in's options, and the one that the job declares for all optimizers.
inline Options options_of(const Plugin& plugin, const std::map<std::string, std::string>& values) {
  std::vector<Option> declared = plugin.options;
  declared.push_back({.name = "epochs", .default_value = std::int64_t{10}, .help = "e"});
  Options options(declared);
  for (const auto& [name, value] : values) options.parse(name, value, "test");
  return options;
}

/// The order of the workers' steps. The result of a pattern that does not wait depends on the
/// machine's scheduling unless the order is fixed.
enum class Order {
  free,               ///< as the threads run
  turns,              ///< each worker's first step, then each worker's second one, …
  one_after_another,  ///< all steps of the first worker, then all of the second one, …
};

/// Makes threads do their steps in a fixed order, one at a time.
class Sequence {
 public:
  Sequence(Order order, std::uint64_t workers) : order_(order), workers_(workers) {}

  /// Does step `step` of the worker's `steps` when it is its turn. After a step that throws, no
  /// thread waits any more.
  template <class Step>
  void run(std::uint64_t worker, std::uint64_t step, std::uint64_t steps, const Step& do_step) {
    if (order_ == Order::free) return do_step();
    const std::uint64_t place =
        order_ == Order::turns ? step * workers_ + worker : worker * steps + step;
    std::unique_lock lock(mutex_);
    turn_.wait(lock, [&] { return next_ == place || failed_; });
    try {
      do_step();
    } catch (...) {
      failed_ = true;
      turn_.notify_all();
      throw;
    }
    ++next_;
    turn_.notify_all();
  }

 private:
  Order order_;
  std::uint64_t workers_;
  std::mutex mutex_;
  std::condition_variable turn_;
  std::uint64_t next_ = 0;
  bool failed_ = false;
};

struct Job {
  std::function<std::unique_ptr<model::Model>()> model;
  std::vector<Rows> parts;  ///< one per worker
  std::string optimizer;
  std::map<std::string, std::string> options = {};
  std::uint64_t epochs = 10;  ///< outer ones for admm
  std::uint64_t batch = 1000;
  std::string sync_mode = "reduce";
  std::uint32_t aggregators = 0;  ///< 0: by the sync mode
  Order order = Order::free;      ///< another one only for `async`: the others wait for each other
  bool until_converged = false;
  /// After every step, discards the optimizer and its model and restores new ones.
  bool restore_each_step = false;
};

struct Trained {
  std::vector<std::vector<float>> models;  ///< each worker's
  std::vector<model::Totals> totals;       ///< of each epoch, as worker 0 learned them
  std::vector<std::map<std::string, double>> metrics;
  std::uint64_t epochs = 0;

  const std::vector<float>& parameters() const { return models[0]; }
};

inline std::vector<Rows> cut(const Rows& rows, std::size_t workers) {
  std::vector<Rows> parts;
  for (std::size_t i = 0; i < workers; ++i) parts.push_back(rows.part(i, workers));
  return parts;
}

/// How a job's parts are read in rounds of batches.
class Rounds {
 public:
  explicit Rounds(const Job& job) : batch_(job.batch) {
    std::uint64_t most = 0;
    for (const Rows& part : job.parts) {
      most = std::max<std::uint64_t>(most, part.size());
      rows_ += static_cast<double>(part.size());
    }
    rows_per_round_.resize((most + batch_ - 1) / batch_);
    for (std::uint64_t round = 0; round < count(); ++round)
      for (const Rows& part : job.parts)
        rows_per_round_[round] += static_cast<double>(batch_of(part, round).rows());
  }

  std::uint64_t count() const { return rows_per_round_.size(); }
  double rows() const { return rows_; }  ///< of all parts
  const std::vector<double>& rows_per_round() const { return rows_per_round_; }
  /// Without rows where the part is shorter than others.
  model::Batch batch_of(const Rows& part, std::uint64_t round) const {
    const auto row = [&](std::uint64_t at) {
      return std::min<std::uint64_t>(part.size(), at * batch_);
    };
    return part.dense().slice(row(round), row(round + 1));
  }

 private:
  std::uint64_t batch_;
  double rows_ = 0;
  std::vector<double> rows_per_round_;
};

/// Each worker's. They are agreed on by a waiting pattern, whatever the pattern of training.
inline std::vector<std::vector<float>> initial_parameters(const Job& job) {
  const auto workers = static_cast<std::uint32_t>(job.parts.size());
  std::vector<std::uint64_t> part_rows;
  for (const Rows& part : job.parts) part_rows.push_back(part.size());
  std::vector<std::vector<float>> out(workers);
  model::testing::run_workers(workers, [&](comm::Communicator& communicator) {
    const std::uint32_t worker = communicator.worker();
    const model::Batch rows = job.parts[worker].dense();
    const std::unique_ptr<model::Model> model = job.model();
    out[worker].resize(model->parameter_count());
    const data::RowNumbers numbers = data::row_numbers(part_rows, worker);
    model->initialize({.rows = rows,
                       .first_row = numbers.first,
                       .row_stride = numbers.stride,
                       .communicator = communicator},
                      out[worker]);
  });
  return out;
}

/// One worker of a job: its model and its optimizer.
class TrainingWorker {
 public:
  TrainingWorker(const Job& job, const Rounds& rounds, comm::Communicator& communicator,
                 std::span<const float> initial)
      : job_(job),
        rounds_(rounds),
        communicator_(communicator),
        part_(job.parts[communicator.worker()]),
        plugin_(registry().get(job.optimizer)),
        options_(options_of(plugin_, job.options)),
        model_(job.model()),
        optimizer_(make_optimizer()) {
    if (waits()) optimizer_->prepare(part_.dense(), communicator_);
    optimizer_->begin(initial);
  }

  /// Trains to the end; calls epoch_done(totals) after each epoch.
  template <class EpochDone>
  void run(Sequence& sequence, const EpochDone& epoch_done) {
    // In an order that is fixed, all epochs have as many passes.
    const std::uint64_t steps = job_.epochs * optimizer_->passes_per_epoch() * rounds_.count();
    std::uint64_t done = 0;
    for (Position p; p.epoch < job_.epochs; ++p.epoch) {
      model::Totals totals;
      for (p.pass = 0; p.pass < optimizer_->passes_per_epoch(); ++p.pass)
        for (p.round = 0; p.round < rounds_.count(); ++p.round) {
          p.last_of_pass = p.round + 1 == rounds_.count();
          p.last_of_epoch = p.last_of_pass && p.pass + 1 == optimizer_->passes_per_epoch();
          sequence.run(communicator_.worker(), done++, steps,
                       [&] { totals += optimizer_->step(rounds_.batch_of(part_, p.round), p); });
          if (job_.restore_each_step) restore();
        }
      epoch_done(totals);
      if (job_.until_converged && optimizer_->converged()) break;
    }
    optimizer_->finish();
  }

  const Optimizer& optimizer() const { return *optimizer_; }

 private:
  bool waits() const { return comm::registry().get(job_.sync_mode).bulk_synchronous; }

  std::unique_ptr<Optimizer> make_optimizer() {
    return plugin_.make({.model = *model_,
                         .communicator = communicator_,
                         .rows_per_round = rounds_.rows_per_round(),
                         .rows = rounds_.rows(),
                         .own_rows = static_cast<double>(part_.size()),
                         .epochs = job_.epochs,
                         .bulk_synchronous = waits()},
                        options_);
  }

  /// Goes on with a new model and a new optimizer, restored from what a checkpoint holds.
  void restore() {
    std::map<std::string, std::vector<float>> saved;
    for (const auto& [name, values] : optimizer_->state())
      saved[name].assign(values.begin(), values.end());
    const std::vector<double> scalars = optimizer_->scalars();
    std::unique_ptr<model::Model> discarded = std::exchange(model_, job_.model());
    optimizer_ = make_optimizer();
    discarded.reset();
    optimizer_->begin(std::vector<float>(model_->parameter_count(), 7.0F));
    State state = optimizer_->state();
    for (const auto& [name, values] : saved)
      std::copy(values.begin(), values.end(), state.at(name).begin());
    optimizer_->set_scalars(scalars);
  }

  const Job& job_;
  const Rounds& rounds_;
  comm::Communicator& communicator_;
  const Rows& part_;
  const Plugin& plugin_;
  Options options_;
  std::unique_ptr<model::Model> model_;
  std::unique_ptr<Optimizer> optimizer_;
};

inline Trained train(const Job& job) {
  const auto workers = static_cast<std::uint32_t>(job.parts.size());
  const Rounds rounds(job);
  const std::vector<std::vector<float>> initials = initial_parameters(job);
  Trained out;
  out.models.resize(workers);
  Sequence sequence(job.order, workers);
  Options pattern = comm::pattern_options();
  pattern.set("aggregators", std::int64_t{job.aggregators}, "test");
  model::testing::run_workers(
      workers,
      [&](comm::Communicator& communicator) {
        const std::uint32_t worker = communicator.worker();
        TrainingWorker training(job, rounds, communicator, initials[worker]);
        training.run(sequence, [&](const model::Totals& totals) {
          if (worker != 0) return;
          out.totals.push_back(totals);
          out.metrics.push_back(training.optimizer().metrics());
        });
        const std::span<const float> parameters = training.optimizer().parameters();
        out.models[worker].assign(parameters.begin(), parameters.end());
      },
      job.sync_mode, pattern);
  out.epochs = out.totals.size();
  return out;
}

}  // namespace lambdaml::optim::testing
