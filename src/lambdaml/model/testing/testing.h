#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/base/rng.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/storage/storage.h"

/// Helpers for the tests of models and optimizers.
namespace lambdaml::model::testing {

/// Calls `body` on a thread per worker, with communicators of that sync mode that share a store in
/// this process. Throws the error of the first worker that failed.
inline void run_workers(std::uint32_t workers, const std::function<void(comm::Communicator&)>& body,
                        const std::string& sync_mode = "reduce",
                        const Options& pattern_options = comm::pattern_options()) {
  static std::atomic<std::uint64_t> jobs{0};
  const std::uint64_t job = ++jobs;
  const auto store = storage::open("memory://model-test-" + std::to_string(job));
  std::vector<std::exception_ptr> errors(workers);
  std::vector<std::thread> threads;
  for (std::uint32_t worker = 0; worker < workers; ++worker)
    threads.emplace_back([&, worker] {
      try {
        const auto communicator =
            comm::registry().get(sync_mode).make({.store = store,
                                                  .job = job,
                                                  .worker = worker,
                                                  .workers = workers,
                                                  .patience_s = 60,
                                                  .options = pattern_options});
        body(*communicator);
      } catch (...) {
        errors[worker] = std::current_exception();
      }
    });
  for (std::thread& thread : threads) thread.join();
  store->clear("");
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
}

/// accumulate() of a model of either kind, with its sums as floats.
inline Totals accumulate(Model& model, const Batch& batch, std::span<const float> parameters,
                         std::span<float> sums) {
  if (auto* gradients = dynamic_cast<GradientModel*>(&model))
    return gradients->accumulate(batch, parameters, sums);
  std::vector<double> wide(sums.begin(), sums.end());
  const Totals totals = dynamic_cast<ExpectationModel&>(model).accumulate(batch, parameters, wide);
  std::transform(wide.begin(), wide.end(), sums.begin(),
                 [](double sum) { return static_cast<float>(sum); });
  return totals;
}

/// Rows that own their numbers, in every form; must not change once a sparse form was taken.
class Rows {
 public:
  Rows(std::size_t n, std::size_t d) : n_(n), d_(d), dense_(n * d), targets_(n) {}

  float& at(std::size_t i, std::size_t j) { return dense_[i * d_ + j]; }
  float& target(std::size_t i) { return targets_[i]; }
  std::size_t size() const { return n_; }
  std::size_t cols() const { return d_; }
  std::span<const float> targets() const { return targets_; }

  Batch dense() const { return {tensor::DenseView{dense_.data(), n_, d_}, targets_}; }
  Batch csr16() {
    index();
    return {tensor::Csr16{offsets_.data(), narrow_.data(), values_.data(), n_, d_}, targets_};
  }
  Batch csr32() {
    index();
    return {tensor::Csr32{offsets_.data(), wide_.data(), values_.data(), n_, d_}, targets_};
  }
  std::map<std::string, Batch> forms() {
    return {{"dense", dense()}, {"csr16", csr16()}, {"csr32", csr32()}};
  }

  /// Rows r with r mod n = i, the way parts are cut.
  Rows part(std::size_t i, std::size_t n) const {
    Rows out((n_ + n - 1 - i) / n, d_);
    for (std::size_t r = i, to = 0; r < n_; r += n, ++to) {
      std::copy_n(dense_.data() + r * d_, d_, out.dense_.data() + to * d_);
      out.targets_[to] = targets_[r];
    }
    return out;
  }

 private:
  void index() {
    if (!offsets_.empty()) return;
    offsets_.push_back(0);
    for (std::size_t i = 0; i < n_; ++i) {
      for (std::size_t j = 0; j < d_; ++j) {
        if (dense_[i * d_ + j] == 0) continue;
        narrow_.push_back(static_cast<std::uint16_t>(j));
        wide_.push_back(static_cast<std::uint32_t>(j));
        values_.push_back(dense_[i * d_ + j]);
      }
      offsets_.push_back(values_.size());
    }
  }

  std::size_t n_;
  std::size_t d_;
  std::vector<float> dense_;
  std::vector<float> targets_;
  std::vector<std::uint64_t> offsets_;
  std::vector<std::uint16_t> narrow_;
  std::vector<std::uint32_t> wide_;
  std::vector<float> values_;
};

/// Normally distributed features, of which a share of `density` are kept; targets by a noisy linear
/// rule of `classes`.
inline Rows random_rows(std::size_t n, std::size_t d, std::size_t classes, std::uint64_t seed,
                        double density = 1) {
  Rows rows(n, d);
  Rng rng(seed);
  std::vector<double> rule(classes * d);
  for (double& w : rule) w = rng.normal();
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < d; ++j)
      if (rng.uniform() < density) rows.at(i, j) = static_cast<float>(rng.normal());
    std::size_t best = 0;
    double best_score = -1e300;
    for (std::size_t c = 0; c < classes; ++c) {
      double score = rng.normal();
      for (std::size_t j = 0; j < d; ++j) score += rule[c * d + j] * rows.at(i, j);
      if (score > best_score) {
        best = c;
        best_score = score;
      }
    }
    rows.target(i) = static_cast<float>(best);
  }
  return rows;
}

inline Shape shape_of(std::size_t features, std::size_t classes) {
  Shape shape{.features = features, .labels = {}};
  for (std::size_t c = 0; c < classes; ++c) shape.labels.push_back(static_cast<std::int32_t>(c));
  return shape;
}

/// The options that all models know, and a plug-in's own.
inline Options options_of(const Plugin& plugin,
                          const std::map<std::string, std::string>& values = {}) {
  std::vector<Option> declared = plugin.options;
  // Those of jobs that models use.
  for (const char* name : {"threads", "seed"})
    declared.push_back({.name = name, .default_value = std::int64_t{1}, .help = "t"});
  Options options(declared);
  for (const auto& [name, value] : values) options.parse(name, value, "test");
  return options;
}

inline std::unique_ptr<Model> make_model(const std::string& name, const Shape& shape,
                                         const std::map<std::string, std::string>& values = {}) {
  const Plugin& plugin = registry().get(name);
  return plugin.make(shape, options_of(plugin, values));
}

}  // namespace lambdaml::model::testing
