#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <span>
#include <variant>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/model/blocks.h"
#include "lambdaml/model/kmeans/parallel_start.h"
#include "lambdaml/model/model.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/model/row_buffer.h"
#include "lambdaml/tensor/kernels.h"

namespace lambdaml::model::kmeans {
namespace {

/// Row counts travel as floats among the sums. A float counts exactly up to 2²⁴ only, so a count is
/// two of them: high · 4,096 + low. Both add up exactly over as many as 4,096 workers and 2³⁶ rows.
/// A count of rows with weights may have a fraction, which the low part rounds.
constexpr float kHigh = 4096;

void set_count(float& low, float& high, double rows) {
  const double carry = std::floor(rows / kHigh);
  high = static_cast<float>(carry);
  low = static_cast<float>(rows - carry * kHigh);
}
double count_of(double low, double high) { return low + high * double{kHigh}; }

/// Lloyd's k-means (Lloyd 1982). Parameters: k × d centroids. Sums: k × d sums of the rows nearest
/// to each centroid, then the k row counts, then k zeros; rounded sums have the low and the high
/// parts of the counts instead. A centroid that is nearest to no row is unchanged. A row with a
/// weight counts in all sums as that many rows.
class KMeans final : public ExpectationModel {
 public:
  KMeans(const Shape& shape, const Options& options)
      : k_(static_cast<std::size_t>(options.integer("clusters"))),
        d_(shape.features),
        blocks_(static_cast<std::size_t>(options.integer("threads"))) {
    if (d_ == 0) fail(Code::invalid_argument, "k-means needs at least one feature");
    if (k_ > std::numeric_limits<std::size_t>::max() / (sizeof(float) * (d_ + 2)))
      fail(Code::invalid_argument, "k-means with {} clusters of {} features fits no memory", k_,
           d_);
  }

  std::size_t minimum_rows() const override { return k_; }
  std::size_t parameter_count() const override { return k_ * d_; }
  std::size_t sums_count() const override { return k_ * (d_ + 2); }

  void initialize(const Start& start, std::span<float> parameters) override {
    check(start.rows, parameters);
    choose_centroids(start, k_, d_, blocks_.limit(), parameters);
  }

  Totals accumulate(const Batch& batch, std::span<const float> parameters,
                    std::span<double> sums) override {
    if (sums.size() != sums_count())
      fail(Code::internal, "{} sums for {}", sums.size(), sums_count());
    if (std::holds_alternative<tensor::DenseView>(batch.features))
      scratch_.resize(blocks_.limit() * scratch_count());
    return assign(batch, parameters, sums);
  }

  /// Costs two passes: the second finds each row's second nearest centroid.
  Totals evaluate(const Batch& batch, std::span<const float> parameters) override {
    Totals totals = assign(batch, parameters, {});
    if (k_ > 1) totals.silhouettes = sum_of_silhouettes(batch, parameters);
    return totals;
  }

  void round_sums(std::span<const double> sums, std::span<float> rounded) const override {
    if (sums.size() != sums_count() || rounded.size() != sums_count())
      fail(Code::internal, "{} sums and {} floats for {}", sums.size(), rounded.size(),
           sums_count());
    for (std::size_t i = 0; i < k_ * d_; ++i) rounded[i] = static_cast<float>(sums[i]);
    for (std::size_t c = 0; c < k_; ++c)
      set_count(low(rounded)[c], high(rounded)[c], count_of(low(sums)[c], high(sums)[c]));
  }

  double maximize(std::span<const double> sums, std::span<float> parameters) override {
    double moved = 0;
    for (std::size_t c = 0; c < k_; ++c) {
      const double count = count_of(low(sums)[c], high(sums)[c]);
      if (count == 0) continue;
      for (std::size_t j = 0; j < d_; ++j) {
        float& old = parameters[c * d_ + j];
        const auto mean = static_cast<float>(sums[c * d_ + j] / count);
        const double step = static_cast<double>(mean) - old;
        moved += step * step;
        old = mean;
      }
    }
    return std::sqrt(moved);
  }

  /// Scores are squared distances to the row's centroid.
  Prediction predict(const Batch& batch, std::span<const float> parameters,
                     const Wanted&) override {
    prepare(batch, parameters);
    Prediction out;
    out.classes.resize(batch.rows());
    out.scores.resize(batch.rows());
    std::visit(
        [&](const auto& x) {
          tensor::assign(x, centroids_, nullptr, nullptr, nullptr, out.classes.data(),
                         out.scores.data());
        },
        batch.features);
    return out;
  }

  std::vector<Piece> pieces() const override { return {{"centroids", {k_, d_}}}; }

 private:
  void check(const Batch& batch, std::span<const float> parameters) const {
    if (tensor::cols(batch.features) != d_ || parameters.size() != parameter_count())
      fail(Code::internal, "a batch of {} features and {} parameters for {} × {} centroids",
           tensor::cols(batch.features), parameters.size(), k_, d_);
    if (!batch.weights.empty() && batch.weights.size() != batch.rows())
      fail(Code::internal, "{} weights for {} rows", batch.weights.size(), batch.rows());
  }

  /// All batches of an epoch have the same centroids: comparing them is cheaper than preparing them
  /// again.
  void prepare(const Batch& batch, std::span<const float> parameters) {
    check(batch, parameters);
    if (centroids_.k == 0 ||
        std::memcmp(centroids_.rows, parameters.data(), parameters.size_bytes()) != 0)
      centroids_.prepare(parameters.data(), k_, d_);
  }

  Totals assign(const Batch& batch, std::span<const float> parameters, std::span<double> sums) {
    prepare(batch, parameters);
    const std::size_t work = tensor::stored_values(batch.features) * k_;
    auto add_block = [&](std::size_t block, std::size_t begin, std::size_t end, double* own) {
      if (!batch.weights.empty()) return add_weighted(batch.slice(begin, end), own);
      double* counts = own == nullptr ? nullptr : own + k_ * d_;
      float* scratch =
          own == nullptr || scratch_.empty() ? nullptr : scratch_.data() + block * scratch_count();
      const double inertia = std::visit(
          [&](const auto& x) {
            return tensor::assign(x.slice(begin, end), centroids_, own, counts, scratch, nullptr,
                                  nullptr);
          },
          batch.features);
      return Totals{.loss = inertia, .rows = static_cast<double>(end - begin)};
    };
    return blocks_.add(batch.rows(), work, sums, add_block);
  }

  /// assign() for rows with weights: the nearest centroids of some rows are found, which are still
  /// in the cache when they are added.
  Totals add_weighted(const Batch& batch, double* sums) const {
    constexpr std::size_t kRows = 128;
    std::array<std::uint32_t, kRows> nearest;
    std::array<float, kRows> squared;
    Totals totals{.rows = static_cast<double>(batch.rows())};
    for (std::size_t begin = 0; begin < batch.rows(); begin += kRows) {
      const Batch some = batch.slice(begin, std::min(begin + kRows, batch.rows()));
      const auto add = [&](const auto& x) {
        tensor::assign(x, centroids_, nullptr, nullptr, nullptr, nearest.data(), squared.data());
        for (std::size_t i = 0; i < x.rows; ++i) {
          const double weight = some.weights[i];
          totals.loss += weight * squared[i];
          if (sums == nullptr || weight == 0) continue;
          add_row(x, i, weight, sums + nearest[i] * d_);
          sums[k_ * d_ + nearest[i]] += weight;
        }
      };
      std::visit(add, some.features);
    }
    return totals;
  }

  static void add_row(const tensor::DenseView& x, std::size_t i, double weight, double* sum) {
    const float* const row = x.row(i).data();
    for (std::size_t j = 0; j < x.cols; ++j) sum[j] += weight * row[j];
  }
  template <class Index>
  static void add_row(const tensor::CsrView<Index>& x, std::size_t i, double weight, double* sum) {
    for (std::uint64_t e = x.offsets[i]; e < x.offsets[i + 1]; ++e)
      sum[x.indices[e]] += weight * x.values[e];
  }

  /// Σ (b − a) / max(a, b) over the rows, where a is the distance of a row to its centroid and b
  /// that to the nearest other one: the simplified silhouette (Hruschka, de Castro, Campello 2004),
  /// with distances to centroids in place of mean distances to all rows of a cluster. A row at the
  /// same distance 0 from two centroids counts 0. Rows count the same whatever they weigh.
  double sum_of_silhouettes(const Batch& batch, std::span<const float> parameters) {
    const std::size_t n = batch.rows();
    const Prediction own = predict(batch, parameters, {});
    std::vector<std::uint32_t> order(n);  // by cluster
    std::iota(order.begin(), order.end(), 0U);
    std::ranges::stable_sort(order, {}, [&](std::uint32_t i) { return own.classes[i]; });
    std::vector<double> sums(k_);
    parallel_for(k_, blocks_.limit(), [&](std::size_t c) {
      // Not equal_range(), whose result clang 14 does not compile with this standard library.
      const auto cluster = [&](std::uint32_t i) { return own.classes[i]; };
      const auto begin =
          std::ranges::lower_bound(order, static_cast<std::uint32_t>(c), {}, cluster);
      const auto end = std::ranges::upper_bound(order, static_cast<std::uint32_t>(c), {}, cluster);
      if (begin == end) return;
      // All centroids but this one.
      std::vector<float> others(parameters.begin(), parameters.end());
      others.erase(others.begin() + static_cast<std::ptrdiff_t>(c * d_),
                   others.begin() + static_cast<std::ptrdiff_t>((c + 1) * d_));
      sums[c] = sum_of_silhouettes(batch, own, {begin, end}, others);
    });
    return std::accumulate(sums.begin(), sums.end(), 0.0);
  }

  /// Over rows of one cluster; `others` are the centroids of all other clusters.
  double sum_of_silhouettes(const Batch& batch, const Prediction& own,
                            std::span<const std::uint32_t> rows,
                            std::span<const float> others) const {
    constexpr std::size_t kRows = 4096;  // that are copied at a time
    tensor::Centroids centroids;
    centroids.prepare(others.data(), k_ - 1, d_);
    RowBuffer buffer;
    std::vector<float> squared(std::min(kRows, rows.size()));
    double sum = 0;
    for (std::size_t at = 0; at < rows.size(); at += kRows) {
      const auto some = rows.subspan(at, std::min(kRows, rows.size() - at));
      const Batch copied = buffer.take(batch, some);
      std::visit(
          [&](const auto& x) {
            tensor::assign(x, centroids, nullptr, nullptr, nullptr, nullptr, squared.data());
          },
          copied.features);
      for (std::size_t i = 0; i < some.size(); ++i) {
        const double a = std::sqrt(static_cast<double>(own.scores[some[i]]));
        const double b = std::sqrt(static_cast<double>(squared[i]));
        const double most = std::max(a, b);
        if (most > 0) sum += (b - a) / most;
      }
    }
    return sum;
  }

  /// Floats of a block.
  std::size_t scratch_count() const { return k_ * (d_ + 1); }

  template <class T>
  std::span<T> low(std::span<T> sums) const {
    return sums.subspan(k_ * d_, k_);
  }
  template <class T>
  std::span<T> high(std::span<T> sums) const {
    return sums.subspan(k_ * (d_ + 1), k_);
  }

  std::size_t k_;
  std::size_t d_;
  BasicRowBlocks<double> blocks_;
  std::vector<float> scratch_;  ///< for dense batches; zeros between calls
  tensor::Centroids centroids_;
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "kmeans",
                .help = "k-means clustering (Lloyd), started by k-means‖",
                .aliases = {"sparse_kmeans"},
                .needs_labels = false,
                .takes_weights = true,
                .optimizers = {"em"},
                .metrics = {{.name = "inertia",
                             .help = "Σ squared distance to the nearest centroid",
                             .of = [](const Totals& totals) { return totals.loss; },
                             .notation = Notation::significant,
                             .digits = 6},
                            {.name = "silhouette",
                             .help = "mean simplified silhouette: near 1 if clusters are far apart "
                                     "and compact, near 0 if they touch",
                             .higher_is_better = true,
                             .of = [](const Totals& t) { return t.silhouettes / t.rows; },
                             .of_evaluation = true}},
                .tabulate = table_of_clusters,
                .options = {{.name = "clusters",
                             .default_value = std::int64_t{10},
                             .help = "clusters of k-means",
                             .minimum = 1,
                             .maximum = 1 << 24,
                             .aliases = {"n_clusters"}}},
                .make = [](const Shape& shape, const Options& options) {
                  return std::make_unique<KMeans>(shape, options);
                }});
}

}  // namespace lambdaml::model::kmeans
