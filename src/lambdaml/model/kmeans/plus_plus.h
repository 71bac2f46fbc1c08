#pragma once

#include <span>

#include "lambdaml/model/model.h"

namespace lambdaml::model::kmeans {

/// This many floats are 64 KB, which a service transfers about as fast as an empty message.
inline constexpr std::size_t kMostCandidateFloats = 16'384;

/// k-means++ (Arthur, Vassilvitskii 2007: "k-means++: the advantages of careful seeding") over the
/// rows of all workers: each centre is a row drawn with P ∝ D², the squared distance to the nearest
/// centre so far; the first one is drawn uniformly. Drawing does not need the total of D²: the row
/// with the smallest Exp(1) / D² wins, which has exactly those probabilities and requires only a
/// minimum (the exponential race of Efraimidis, Spirakis 2006: "Weighted random sampling with a
/// reservoir"). The exponentials are derived from (seed, step, number of the row in the whole set),
/// so the centres are bitwise the same however the rows are cut. If every row coincides with a
/// centre (fewer distinct rows than centres), rows are drawn uniformly and centres coincide.
///
/// Fills k · d floats. A collective call: one merge per centre, of 2P + 1 doubles and P · d floats,
/// to which every worker contributes its candidate. If P · d exceeds kMostCandidateFloats, sending
/// them would take longer than waiting for a second round: then there are two merges, of 2P + 1
/// doubles and of d floats. Throws invalid_argument if there are fewer rows than centres.
void choose_centroids(const Model::Start& start, std::size_t k, std::size_t d, std::size_t threads,
                      std::span<float> centroids);

}  // namespace lambdaml::model::kmeans
