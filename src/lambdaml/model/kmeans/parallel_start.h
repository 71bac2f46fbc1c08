#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lambdaml/model/model.h"

namespace lambdaml::model::kmeans {

/// Rounds of sampling, and how many rows a round samples for each cluster on average; both as in
/// the experiments of the paper.
inline constexpr std::uint64_t kSamplingRounds = 5;
inline constexpr double kOversampling = 2;
/// Merges of choose_centroids(); rows with weights take one more.
inline constexpr std::uint64_t kMostMerges = 1 + 2 + 3 * kSamplingRounds + 2;

/// k-means‖ (Bahmani, Moseley, Vattani, Kumar, Vassilvitskii 2012: "Scalable k-means++") over the
/// rows of all workers. The first candidate is a random row. In each of five rounds every row
/// becomes a candidate with probability 1 − exp(−2k · D²/φ), about its share of what 2k draws would
/// take, where D² is its squared distance to the nearest candidate and φ the sum over all rows.
/// (The paper has min(1, 2k · D²/φ), which is nearly the same.) Each candidate weighs as much as
/// the rows that are nearest to it, and of the weighted candidates k-means++ chooses the centres:
/// greedily, of 2 + ⌊ln k⌋ draws the one that leaves the smallest inertia (Arthur, Vassilvitskii
/// 2007, as scikit-learn does). If there are fewer distinct rows than centres, centres coincide.
///
/// Rows with weights: the first candidate is drawn by weight, D² counts times the weight, and a
/// candidate weighs what the rows weigh that are nearest to it. A row of weight 0 is no candidate.
/// Weights that are all 1 give the same centres as none.
///
/// The draws are derived from (seed, round, number of the row in the whole set), sums that are no
/// whole numbers are rounded to 20 bits, and worker 0 alone chooses among the candidates: so the
/// centres are bitwise the same however the rows are cut, also on workers with different
/// processors.
///
/// Fills k · d floats. A collective call of at most kMostMerges merges: most are of a few numbers
/// or 2P, with weights one of 4P; six carry the new candidates (10k + 1 rows in all, in the form of
/// the data), one the weights, one the centres. Computes the distances of each row to all
/// candidates, as ten passes of k-means do, and holds the candidates and four numbers per row.
/// Throws invalid_argument if there are fewer rows than centres.
void choose_centroids(const Model::Start& start, std::size_t k, std::size_t d, std::size_t threads,
                      std::span<float> centroids);

/// Greedy k-means++ over rows with weights; for choose_centroids() and tests.
void choose_of_weighted(const tensor::MatrixView& rows, std::span<const double> weights,
                        std::size_t k, std::size_t threads, std::uint64_t seed,
                        std::span<float> centroids);

}  // namespace lambdaml::model::kmeans
