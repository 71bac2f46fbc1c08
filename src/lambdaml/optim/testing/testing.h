#pragma once

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

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
  Order order = Order::free;  ///< another one only for `async`: the others wait for each other
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

inline Trained train(const Job& job) {
  const auto workers = static_cast<std::uint32_t>(job.parts.size());
  std::uint64_t most = 0;
  double all = 0;
  for (const Rows& part : job.parts) {
    most = std::max<std::uint64_t>(most, part.size());
    all += static_cast<double>(part.size());
  }
  const std::uint64_t rounds = (most + job.batch - 1) / job.batch;
  const auto batch_end = [&](const Rows& part, std::uint64_t round) {
    return std::min<std::uint64_t>(part.size(), round * job.batch);
  };
  std::vector<double> rows_per_round(rounds);
  for (std::uint64_t round = 0; round < rounds; ++round)
    for (const Rows& part : job.parts)
      rows_per_round[round] +=
          static_cast<double>(batch_end(part, round + 1) - batch_end(part, round));

  const Plugin& plugin = registry().get(job.optimizer);
  const Options options = options_of(plugin, job.options);
  Trained out;
  out.models.resize(workers);
  // The initial parameters are agreed on by a waiting pattern, whatever the pattern of training.
  std::vector<std::vector<float>> initials(workers);
  model::testing::run_workers(workers, [&](comm::Communicator& communicator) {
    const std::uint32_t worker = communicator.worker();
    const model::Batch rows = job.parts[worker].dense();
    const std::unique_ptr<model::Model> model = job.model();
    initials[worker].resize(model->parameter_count());
    model->initialize(
        {.rows = rows, .first_row = worker, .row_stride = workers, .communicator = communicator},
        initials[worker]);
  });
  Sequence sequence(job.order, workers);
  model::testing::run_workers(
      workers,
      [&](comm::Communicator& communicator) {
        const std::uint32_t worker = communicator.worker();
        const Rows& part = job.parts[worker];
        const model::Batch rows = part.dense();
        std::unique_ptr<model::Model> model = job.model();
        const auto make = [&] {
          return plugin.make({.model = *model,
                              .communicator = communicator,
                              .rows_per_round = rows_per_round,
                              .rows = all,
                              .own_rows = static_cast<double>(part.size()),
                              .epochs = job.epochs},
                             options);
        };
        std::unique_ptr<Optimizer> optimizer = make();
        const std::vector<float>& initial = initials[worker];
        optimizer->begin(initial);
        const std::uint64_t passes = optimizer->passes_per_epoch();
        const std::uint64_t steps = job.epochs * passes * rounds;
        std::uint64_t done = 0;
        for (Position p; p.epoch < job.epochs; ++p.epoch) {
          model::Totals totals;
          for (p.pass = 0; p.pass < passes; ++p.pass)
            for (p.round = 0; p.round < rounds; ++p.round) {
              p.last_of_pass = p.round + 1 == rounds;
              p.last_of_epoch = p.last_of_pass && p.pass + 1 == passes;
              sequence.run(worker, done++, steps, [&] {
                totals += optimizer->step(
                    rows.slice(batch_end(part, p.round), batch_end(part, p.round + 1)), p);
              });
              if (!job.restore_each_step) continue;
              std::map<std::string, std::vector<float>> saved;
              for (const auto& [name, values] : optimizer->state())
                saved[name].assign(values.begin(), values.end());
              const std::vector<double> scalars = optimizer->scalars();
              std::unique_ptr<model::Model> fresh = job.model();
              model.swap(fresh);
              optimizer = make();
              fresh.reset();
              optimizer->begin(std::vector<float>(initial.size(), 7.0F));
              State state = optimizer->state();
              for (const auto& [name, values] : saved)
                std::copy(values.begin(), values.end(), state.at(name).begin());
              optimizer->set_scalars(scalars);
            }
          if (worker == 0) {
            out.totals.push_back(totals);
            out.metrics.push_back(optimizer->metrics());
            out.epochs = p.epoch + 1;
          }
          if (job.until_converged && optimizer->converged()) break;
        }
        optimizer->finish();
        out.models[worker].assign(optimizer->parameters().begin(), optimizer->parameters().end());
      },
      job.sync_mode);
  return out;
}

}  // namespace lambdaml::optim::testing
