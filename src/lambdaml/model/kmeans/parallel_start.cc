#include "lambdaml/model/kmeans/parallel_start.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <variant>

#include "lambdaml/base/error.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/base/rng.h"
#include "lambdaml/tensor/kernels.h"

namespace lambdaml::model::kmeans {
namespace {

constexpr std::uint64_t kFirst = 0x6669727374;
constexpr std::uint64_t kChoice = 0x63686f696365;

void copy_row(const tensor::DenseView& x, std::size_t i, float* out) {
  std::copy_n(x.row(i).data(), x.cols, out);
}
template <class Index>
void copy_row(const tensor::CsrView<Index>& x, std::size_t i, float* out) {
  for (std::uint64_t e = x.offsets[i]; e < x.offsets[i + 1]; ++e) out[x.indices[e]] = x.values[e];
}

/// Sums of doubles depend on the number of workers in their last bits only.
double rounded(double sum) {
  constexpr int kBits = 20;
  int exponent = 0;
  const double mantissa = std::frexp(sum, &exponent);
  return std::ldexp(std::round(std::ldexp(mantissa, kBits)), exponent - kBits);
}

/// Sets the d floats at `out`, which are 0.
void copy_row(const tensor::MatrixView& x, std::size_t i, float* out) {
  std::visit([&](const auto& view) { copy_row(view, i, out); }, x);
}

std::span<const float> values_of(const tensor::DenseView& x, std::size_t i) { return x.row(i); }
template <class Index>
std::span<const float> values_of(const tensor::CsrView<Index>& x, std::size_t i) {
  return {x.values + x.offsets[i], x.offsets[i + 1] - x.offsets[i]};
}
void copy_indices(const tensor::DenseView&, std::size_t, double*) {}
template <class Index>
void copy_indices(const tensor::CsrView<Index>& x, std::size_t i, double* out) {
  std::copy(x.indices + x.offsets[i], x.indices + x.offsets[i + 1], out);
}

/// Rows that are collected, in the form of the data: wide sparse ones would fill messages with
/// zeros.
class Collected {
 public:
  explicit Collected(std::size_t d) : d_(d) {}

  void make_sparse() { sparse_ = true; }
  bool is_sparse() const { return sparse_; }
  std::size_t count() const { return offsets_.size() - 1; }
  /// Valid until more rows are added.
  tensor::MatrixView view() const {
    if (!sparse_) return tensor::DenseView{values_.data(), count(), d_};
    return tensor::Csr32{offsets_.data(), indices_.data(), values_.data(), count(), d_};
  }
  /// `indices`: as they travel; empty for dense rows.
  void add(std::span<const float> values, std::span<const double> indices) {
    values_.insert(values_.end(), values.begin(), values.end());
    for (const double index : indices) indices_.push_back(static_cast<std::uint32_t>(index));
    offsets_.push_back(values_.size());
  }

 private:
  std::size_t d_;
  bool sparse_ = false;
  std::vector<std::uint64_t> offsets_ = {0};
  std::vector<std::uint32_t> indices_;
  std::vector<float> values_;
};

/// One worker's part in choosing the candidates.
class Candidates {
 public:
  Candidates(const Model::Start& start, std::size_t d, std::size_t threads)
      : start_(start),
        d_(d),
        threads_(threads),
        n_(start.rows.rows()),
        nearest_(n_, std::numeric_limits<float>::infinity()),
        owner_(n_),
        distances_(n_),
        closest_(n_),
        rows_(d) {}

  /// Merges the number of all rows and makes one of them the first candidate. Returns it.
  std::uint64_t begin(std::size_t k) {
    // The form is that of all workers: one without rows may have another.
    std::array<double, 3> sums{static_cast<double>(n_),
                               n_ > 0 && tensor::is_sparse(start_.rows.features) ? 1.0 : 0.0,
                               start_.rows.weights.empty() ? 0.0 : 1.0};
    merge({{}, sums});
    const double all = sums[0];
    if (sums[1] > 0) rows_.make_sparse();
    weighted_ = sums[2] > 0;
    if (weighted_ && n_ > 0 && start_.rows.weights.empty())
      fail(Code::internal, "k-means got rows with weights on some workers and none on others");
    if (n_ > 0 && tensor::is_sparse(start_.rows.features) != rows_.is_sparse())
      fail(Code::internal, "k-means got dense rows on some workers and sparse ones on others");
    if (all < static_cast<double>(k))
      fail(Code::invalid_argument, "k-means with {} clusters needs as many rows; the data has {}",
           k, all);
    const auto rows = static_cast<std::uint64_t>(all);
    const std::uint64_t first = drawn_first(rows);
    std::vector<std::size_t> picked;
    for (std::size_t i = 0; i < n_; ++i)
      if (number_of(i) == first) picked.push_back(i);
    add(picked);
    if (count() == 0) fail(Code::internal, "k-means: no worker has row {} of {}", first, rows);
    return rows;
  }

  /// One round of sampling; returns false if every row coincides with a candidate.
  bool sample(std::uint64_t round, double expected) {
    double sum = 0;
    for (std::size_t i = 0; i < n_; ++i) sum += weighted_distance(i);
    merge({{}, {&sum, 1}});
    const double total = rounded(sum);
    if (!(total > 0)) return false;
    const std::uint64_t stream = mix({start_.seed, round});
    std::vector<std::size_t> picked;
    for (std::size_t i = 0; i < n_; ++i) {
      // −log u < bound has the probability 1 − exp(−bound). As −log u ≥ 1 − u, the logarithm is
      // rarely needed.
      const double bound = expected * weighted_distance(i) / total;
      const double u = uniform(stream, i);
      if (1.0 - u < bound && -std::log(u) < bound) picked.push_back(i);
    }
    add(picked);
    return true;
  }

  /// How many rows of all workers are nearest to each candidate, or what they weigh.
  std::vector<double> weights() {
    std::vector<double> counts(count());
    for (std::size_t i = 0; i < n_; ++i) counts[owner_[i]] += weight(i);
    merge({{}, counts});
    for (double& each : counts)
      if (each != std::floor(each)) each = rounded(each);
    return counts;
  }

  tensor::MatrixView rows() const { return rows_.view(); }
  std::size_t count() const { return rows_.count(); }

  void merge(comm::Vectors vectors) {
    const std::size_t merged = start_.communicator.merge(vectors, comm::Meaning::state);
    if (merged != start_.communicator.workers())
      fail(Code::internal, "k-means got {} of {} workers' rows: its first merges must wait for all",
           merged, start_.communicator.workers());
  }

 private:
  std::uint64_t number_of(std::size_t i) const { return start_.first_row + i * start_.row_stride; }
  double weight(std::size_t i) const { return weighted_ ? double{start_.rows.weights[i]} : 1.0; }
  double weighted_distance(std::size_t i) const {
    return weight(i) * static_cast<double>(nearest_[i]);
  }
  /// In (0, 1].
  double uniform(std::uint64_t stream, std::size_t i) const {
    return (static_cast<double>(mix(stream ^ number_of(i)) >> 11) + 1.0) * 0x1.0p-53;
  }

  /// The number of a row, drawn by weight. A merge if rows have weights.
  std::uint64_t drawn_first(std::uint64_t rows) {
    const std::uint64_t stream = mix({start_.seed, kFirst});
    const std::uint64_t equally = Rng(stream).below(rows);
    if (!weighted_) return equally;
    // The first of arrivals whose rates are the weights is each row's with a probability in
    // proportion to its weight (Efraimidis, Spirakis 2006: "Weighted random sampling with a
    // reservoir").
    constexpr double kNever = std::numeric_limits<double>::max();
    struct Facts {
      double arrival = kNever;
      double number = 0;  ///< of the row that arrives first
      double least = kNever;
      double most = 0;  ///< weight
    } own;
    for (std::size_t i = 0; i < n_; ++i) {
      own.least = std::min(own.least, weight(i));
      own.most = std::max(own.most, weight(i));
      const double arrival = -std::log(uniform(stream, i)) / weight(i);
      if (arrival < own.arrival) {
        own.arrival = arrival;
        own.number = static_cast<double>(number_of(i));
      }
    }
    constexpr std::size_t kFacts = 4;
    std::vector<double> all(kFacts * start_.communicator.workers());
    std::ranges::copy(std::array{own.arrival, own.number, own.least, own.most},
                      all.data() + kFacts * start_.communicator.worker());
    merge({{}, all});
    Facts first;
    for (std::size_t at = 0; at < all.size(); at += kFacts) {
      first.least = std::min(first.least, all[at + 2]);
      first.most = std::max(first.most, all[at + 3]);
      if (all[at] < first.arrival) {
        first.arrival = all[at];
        first.number = all[at + 1];
      }
    }
    return first.least == first.most ? equally : static_cast<std::uint64_t>(first.number);
  }

  /// Makes these rows of this worker, and those of the others, candidates, in the order of their
  /// numbers.
  void add(std::span<const std::size_t> picked) {
    // How many rows each worker has, and how many values.
    const std::size_t workers = start_.communicator.workers();
    const std::size_t worker = start_.communicator.worker();
    std::vector<double> counts(2 * workers);
    counts[worker] = static_cast<double>(picked.size());
    for (const std::size_t i : picked)
      counts[workers + worker] += static_cast<double>(own_values(i).size());
    merge({{}, counts});
    const auto sum = [&](std::size_t begin, std::size_t end) {
      const auto from = counts.begin();
      return static_cast<std::size_t>(std::accumulate(
          from + static_cast<std::ptrdiff_t>(begin), from + static_cast<std::ptrdiff_t>(end), 0.0));
    };
    const std::size_t all = sum(0, workers);
    if (all == 0) return;
    std::vector<float> values(sum(workers, 2 * workers));
    // The number and the length of each row; if rows are sparse, then the index of each value.
    std::vector<double> facts(2 * all + (rows_.is_sparse() ? values.size() : 0));
    std::size_t row = sum(0, worker);
    std::size_t at = sum(workers, workers + worker);
    for (const std::size_t i : picked) {
      const std::span<const float> own = own_values(i);
      // −0 becomes +0, as in a sum with the zeros of other workers.
      for (std::size_t j = 0; j < own.size(); ++j) values[at + j] = own[j] + 0.0F;
      facts[row] = static_cast<double>(number_of(i));
      facts[all + row] = static_cast<double>(own.size());
      std::visit([&](const auto& x) { copy_indices(x, i, facts.data() + 2 * all + at); },
                 start_.rows.features);
      ++row;
      at += own.size();
    }
    merge({values, facts});
    collect(all, values, facts);
  }

  std::span<const float> own_values(std::size_t i) const {
    return std::visit([&](const auto& x) { return values_of(x, i); }, start_.rows.features);
  }

  /// Takes what add() merged.
  void collect(std::size_t all, std::span<const float> values, std::span<const double> facts) {
    std::vector<std::size_t> begins(all + 1), order(all);
    for (std::size_t j = 0; j < all; ++j)
      begins[j + 1] = begins[j] + static_cast<std::size_t>(facts[all + j]);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::sort(order, {}, [&](std::size_t j) { return facts[j]; });
    const std::size_t before = count();
    const std::span<const double> indices = facts.subspan(2 * all);
    for (const std::size_t j : order) {
      const std::size_t size = begins[j + 1] - begins[j];
      rows_.add(values.subspan(begins[j], size),
                indices.empty() ? indices : indices.subspan(begins[j], size));
    }
    take_nearest(before);
  }

  /// Compares each row's distance to the candidates from `before` on with that to earlier ones.
  void take_nearest(std::size_t before) {
    std::vector<float> dense((count() - before) * d_);
    for (std::size_t j = before; j < count(); ++j)
      copy_row(rows_.view(), j, dense.data() + (j - before) * d_);
    newest_.prepare(dense.data(), count() - before, d_);
    parallel_for(threads_, threads_, [&](std::size_t block) {
      const std::size_t begin = n_ * block / threads_;
      const std::size_t end = n_ * (block + 1) / threads_;
      std::visit(
          [&](const auto& x) {
            tensor::assign(x.slice(begin, end), newest_, nullptr, nullptr, nullptr,
                           closest_.data() + begin, distances_.data() + begin);
          },
          start_.rows.features);
      for (std::size_t i = begin; i < end; ++i) {
        if (!(distances_[i] < nearest_[i])) continue;
        nearest_[i] = distances_[i];
        owner_[i] = static_cast<std::uint32_t>(before) + closest_[i];
      }
    });
  }

  const Model::Start& start_;
  std::size_t d_;
  std::size_t threads_;
  std::size_t n_;
  bool weighted_ = false;             ///< the rows of all workers
  std::vector<float> nearest_;        ///< D² of each row
  std::vector<std::uint32_t> owner_;  ///< its nearest candidate
  std::vector<float> distances_;
  std::vector<std::uint32_t> closest_;
  Collected rows_;  ///< the candidates
  tensor::Centroids newest_;
};

/// The index at which the running sum of `values` passes `share` of their sum.
std::size_t drawn(std::span<const double> values, double sum, double share) {
  double left = share * sum;
  std::size_t last = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] <= 0) continue;
    last = i;
    left -= values[i];
    if (left < 0) break;
  }
  return last;
}

}  // namespace

void choose_of_weighted(const tensor::MatrixView& rows, std::span<const double> weights,
                        std::size_t k, std::size_t threads, std::uint64_t seed,
                        std::span<float> centroids) {
  const std::size_t m = weights.size();
  const std::size_t d = tensor::cols(rows);
  struct Trial {
    std::size_t index = 0;
    double cost = 0;
    std::vector<double> costs;  ///< weight · D² of each row, with this one among the centres
    std::vector<float> distances;
    std::vector<float> row;
    tensor::Centroids centre;
  };
  std::vector<Trial> trials(2 + static_cast<std::size_t>(std::log(static_cast<double>(k))));
  Rng rng(mix({seed, kChoice}));
  std::vector<double> costs(weights.begin(), weights.end());  // for the first: by weight
  for (std::size_t c = 0; c < k; ++c) {
    const double sum = std::accumulate(costs.begin(), costs.end(), 0.0);
    for (Trial& trial : trials)
      trial.index = sum > 0 ? drawn(costs, sum, rng.uniform()) : drawn(weights, 1, rng.uniform());
    const std::size_t tried = c == 0 ? 1 : trials.size();
    parallel_for(tried, threads, [&](std::size_t t) {
      Trial& trial = trials[t];
      trial.distances.resize(m);
      trial.costs.resize(m);
      trial.row.assign(d, 0.0F);
      copy_row(rows, trial.index, trial.row.data());
      trial.centre.prepare(trial.row.data(), 1, d);
      std::visit(
          [&](const auto& x) {
            tensor::assign(x, trial.centre, nullptr, nullptr, nullptr, nullptr,
                           trial.distances.data());
          },
          rows);
      trial.cost = 0;
      for (std::size_t i = 0; i < m; ++i) {
        const double cost = weights[i] * static_cast<double>(trial.distances[i]);
        trial.costs[i] = c == 0 ? cost : std::min(costs[i], cost);
        trial.cost += trial.costs[i];
      }
    });
    Trial& best = *std::min_element(trials.begin(), trials.begin() + static_cast<long>(tried),
                                    [](const Trial& a, const Trial& b) { return a.cost < b.cost; });
    std::ranges::copy(best.row, centroids.begin() + static_cast<std::ptrdiff_t>(c * d));
    std::swap(costs, best.costs);
  }
}

void choose_centroids(const Model::Start& start, std::size_t k, std::size_t d, std::size_t threads,
                      std::span<float> centroids) {
  Candidates candidates(start, d, threads);
  candidates.begin(k);
  for (std::uint64_t round = 0; round < kSamplingRounds; ++round)
    if (!candidates.sample(round, kOversampling * static_cast<double>(k))) break;
  const std::vector<double> weights = candidates.weights();
  std::fill(centroids.begin(), centroids.end(), 0.0F);
  if (start.communicator.worker() == 0)
    choose_of_weighted(candidates.rows(), weights, k, threads, start.seed, centroids);
  candidates.merge({centroids, {}});
}

}  // namespace lambdaml::model::kmeans
