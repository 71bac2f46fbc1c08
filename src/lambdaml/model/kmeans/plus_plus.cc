#include "lambdaml/model/kmeans/plus_plus.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <variant>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/base/rng.h"
#include "lambdaml/tensor/kernels.h"

namespace lambdaml::model::kmeans {
namespace {

/// A candidate for the next centre: the row with the smallest key, the first one among equals.
struct Candidate {
  double key = std::numeric_limits<double>::infinity();
  std::uint64_t row = 0;  ///< in the whole set
  std::size_t index = 0;  ///< among the worker's own
  bool better_than(const Candidate& other) const {
    return key < other.key || (key == other.key && row < other.row);
  }
};

/// Represents D² = 0: smaller than any squared distance of floats, so such a row wins only if there
/// are no others, and then uniformly.
constexpr double kNoDistance = 1e-300;

/// The best of the rows [begin, end), whose global numbers are first + i · stride, by Exp(1) / D²
/// with Exp(1) = −log u. As −log u ≥ 1 − u, the logarithm is rarely needed.
Candidate race(std::uint64_t stream, std::size_t begin, std::size_t end, std::uint64_t first,
               std::uint64_t stride, const float* squared_distances) {
  constexpr double kRounding = 1 - 1e-9;
  Candidate best;
  for (std::size_t i = begin; i < end; ++i) {
    const std::uint64_t row = first + i * stride;
    const double weight =
        squared_distances == nullptr ? 1.0 : std::max<double>(squared_distances[i], kNoDistance);
    const double u = (static_cast<double>(mix(stream ^ row) >> 11) + 1.0) * 0x1.0p-53;
    if ((1.0 - u) * kRounding > best.key * weight) continue;
    const Candidate candidate{-std::log(u) / weight, row, i};
    if (candidate.better_than(best)) best = candidate;
  }
  return best;
}

void copy_row(const tensor::DenseView& x, std::size_t i, float* out) {
  std::copy_n(x.row(i).data(), x.cols, out);
}
template <class Index>
void copy_row(const tensor::CsrView<Index>& x, std::size_t i, float* out) {
  for (std::uint64_t e = x.offsets[i]; e < x.offsets[i + 1]; ++e) out[x.indices[e]] = x.values[e];
}

/// Row i in the form that a sum with zeros of other workers has: −0 becomes +0, even for a single
/// worker.
void bring_row(const tensor::MatrixView& features, std::size_t i, std::span<float> out) {
  std::visit([&](const auto& x) { copy_row(x, i, out.data()); }, features);
  for (float& value : out) value += 0.0F;
}

void merge_all(comm::Communicator& communicator, comm::Vectors vectors) {
  const std::size_t merged = communicator.merge(vectors, comm::Meaning::state);
  if (merged != communicator.workers())
    fail(Code::internal, "k-means++ got {} of {} workers' rows: its merges must wait for all",
         merged, communicator.workers());
}

/// The best of `slots`, which hold the key and the row of each worker's best: the worker.
std::size_t winner_of(std::span<const double> slots, std::size_t workers) {
  Candidate best;
  std::size_t winner = 0;
  for (std::size_t w = 0; w < workers; ++w) {
    const Candidate candidate{slots[2 * w], static_cast<std::uint64_t>(slots[2 * w + 1]), 0};
    if (!candidate.better_than(best)) continue;
    best = candidate;
    winner = w;
  }
  return winner;
}

}  // namespace

void choose_centroids(const Model::Start& start, std::size_t k, std::size_t d, std::size_t threads,
                      std::span<float> centroids) {
  comm::Communicator& communicator = start.communicator;
  const std::size_t workers = communicator.workers();
  const std::size_t n = start.rows.rows();

  std::vector<float> nearest(n, std::numeric_limits<float>::infinity());  // D² of each row
  std::vector<float> distances(n);
  std::vector<Candidate> of_blocks(threads);
  std::vector<double> slots(2 * workers + 1);  // key and row of each worker's best; all rows
  // Each worker's candidate row, if rows are small: then the winner need not send it later.
  std::vector<float> candidates(workers * d <= kMostCandidateFloats ? workers * d : 0);
  tensor::Centroids newest;
  for (std::size_t step = 0; step < k; ++step) {
    if (step > 0) newest.prepare(centroids.data() + (step - 1) * d, 1, d);
    parallel_for(threads, threads, [&](std::size_t block) {
      const std::size_t begin = n * block / threads;
      const std::size_t end = n * (block + 1) / threads;
      if (step > 0) {
        std::visit(
            [&](const auto& x) {
              tensor::assign(x.slice(begin, end), newest, nullptr, nullptr, nullptr, nullptr,
                             distances.data() + begin);
            },
            start.rows.features);
        for (std::size_t i = begin; i < end; ++i) nearest[i] = std::min(nearest[i], distances[i]);
      }
      of_blocks[block] = race(mix({start.seed, step}), begin, end, start.first_row,
                              start.row_stride, step == 0 ? nullptr : nearest.data());
    });
    Candidate own;
    for (const Candidate& candidate : of_blocks)
      if (candidate.better_than(own)) own = candidate;

    std::fill(slots.begin(), slots.end(), 0.0);
    slots[2 * communicator.worker()] = own.key;
    slots[2 * communicator.worker() + 1] = static_cast<double>(own.row);
    slots.back() = static_cast<double>(n);
    std::fill(candidates.begin(), candidates.end(), 0.0F);
    if (!candidates.empty() && n > 0)
      bring_row(start.rows.features, own.index,
                std::span(candidates).subspan(communicator.worker() * d, d));
    merge_all(communicator, {candidates, slots});
    if (slots.back() < static_cast<double>(k))
      fail(Code::invalid_argument, "k-means with {} clusters needs as many rows; the data has {}",
           k, slots.back());

    const std::size_t winner = winner_of(slots, workers);
    const std::span<float> centre = centroids.subspan(step * d, d);
    if (!candidates.empty()) {
      std::copy_n(candidates.begin() + static_cast<std::ptrdiff_t>(winner * d), d, centre.begin());
      continue;
    }
    std::fill(centre.begin(), centre.end(), 0.0F);
    if (winner == communicator.worker()) bring_row(start.rows.features, own.index, centre);
    merge_all(communicator, {centre, {}});
  }
}

}  // namespace lambdaml::model::kmeans
