#pragma once

#include <span>

#include "lambdaml/model/model.h"

namespace lambdaml::model::kmeans {

/// As many floats are 64 KB, about what a service takes as quickly as it takes nothing.
inline constexpr std::size_t kMostCandidateFloats = 16'384;

/// k-means++ (Arthur, Vassilvitskii 2007: "k-means++: the advantages of careful seeding") over the
/// rows of all workers: each centre is a row drawn with P ∝ D², the squared distance to the nearest
/// centre so far; the first one uniformly. Drawn without knowing the whole sum: the row with the
/// least Exp(1) / D² wins, which has exactly those probabilities and needs but a minimum (the
/// exponential race of Efraimidis, Spirakis 2006: "Weighted random sampling with a reservoir"). The
/// exponentials come from (seed, step, number of the row in the whole set), so the centres are
/// bitwise the same however the rows are cut. When every row lies on a centre (fewer distinct rows
/// than centres), rows are drawn uniformly and centres coincide.
///
/// Fills k · d floats. A collective call: one merge per centre, of 2P + 1 doubles and P · d floats,
/// in which every worker brings its candidate along. Where P · d is more than kMostCandidateFloats
/// that is more to send than a second round is to wait for: then two, of 2P + 1 doubles and of d
/// floats. Throws invalid_argument when there are fewer rows than centres.
void choose_centroids(const Model::Start& start, std::size_t k, std::size_t d, std::size_t threads,
                      std::span<float> centroids);

}  // namespace lambdaml::model::kmeans
