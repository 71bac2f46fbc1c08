#pragma once

#include <barrier>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/base/rng.h"
#include "lambdaml/comm/communicator.h"
#include "lambdaml/model/registry.h"

/// What the tests of models and optimizers share.
namespace lambdaml::model::testing {

/// Where the workers of one test meet.
struct Meeting {
  explicit Meeting(std::size_t workers)
      : barrier(static_cast<std::ptrdiff_t>(workers)), in(workers) {}
  std::barrier<> barrier;
  std::vector<comm::Vectors> in;
  std::vector<float> values;
  std::vector<double> totals;
};

class ThreadCommunicator final : public comm::Communicator {
 public:
  ThreadCommunicator(comm::Membership membership, Meeting& meeting)
      : Communicator(std::move(membership)), meeting_(meeting) {}

 protected:
  std::size_t merge_round(std::uint64_t, comm::Vectors vectors, comm::Meaning) override {
    meeting_.in[worker()] = vectors;
    meeting_.barrier.arrive_and_wait();
    if (worker() == 0) {
      meeting_.values.assign(vectors.values.size(), 0.0F);
      meeting_.totals.assign(vectors.totals.size(), 0.0);
      for (const comm::Vectors& in : meeting_.in) {
        for (std::size_t i = 0; i < in.values.size(); ++i) meeting_.values[i] += in.values[i];
        for (std::size_t i = 0; i < in.totals.size(); ++i) meeting_.totals[i] += in.totals[i];
      }
    }
    meeting_.barrier.arrive_and_wait();
    std::copy(meeting_.values.begin(), meeting_.values.end(), vectors.values.begin());
    std::copy(meeting_.totals.begin(), meeting_.totals.end(), vectors.totals.begin());
    meeting_.barrier.arrive_and_wait();
    return workers();
  }

 private:
  Meeting& meeting_;
};

inline void run_workers(std::uint32_t workers, const std::function<void(comm::Communicator&)>& body,
                        const std::string& = "reduce") {
  Meeting meeting(workers);
  std::vector<std::thread> threads;
  std::vector<std::exception_ptr> errors(workers);
  for (std::uint32_t w = 0; w < workers; ++w)
    threads.emplace_back([&, w] {
      try {
        ThreadCommunicator communicator({.store = nullptr, .worker = w, .workers = workers},
                                        meeting);
        body(communicator);
      } catch (...) {
        errors[w] = std::current_exception();
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
}

/// Rows that own their numbers, in every form.
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
    return {tensor::Csr16{index(narrow_), narrow_.data(), values_.data(), n_, d_}, targets_};
  }
  Batch csr32() {
    return {tensor::Csr32{index(wide_), wide_.data(), values_.data(), n_, d_}, targets_};
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
  template <class Index>
  const std::uint64_t* index(std::vector<Index>& indices) {
    indices.clear();
    values_.clear();
    offsets_.assign(1, 0);
    for (std::size_t i = 0; i < n_; ++i) {
      for (std::size_t j = 0; j < d_; ++j) {
        if (dense_[i * d_ + j] == 0) continue;
        indices.push_back(static_cast<Index>(j));
        values_.push_back(dense_[i * d_ + j]);
      }
      offsets_.push_back(indices.size());
    }
    return offsets_.data();
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

/// Normal features, of which `density` are kept; targets by a noisy linear rule of `classes`.
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

/// The settings of a job that all models know, and a plug-in's own.
inline Options options_of(const Plugin& plugin,
                          const std::map<std::string, std::string>& values = {}) {
  std::vector<Option> declared = plugin.options;
  declared.push_back({.name = "threads", .default_value = std::int64_t{1}, .help = "t"});
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
