#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/data/dataset.h"

/// Synthetic data of a given shape: the same bytes for the same seed on every machine.
namespace lambdaml::data {

struct SyntheticOptions {
  std::string kind;  ///< higgs, rcv1, blobs or cifar10
  std::uint64_t rows = 0;
  std::uint64_t features = 0;  ///< 0: the kind's default (28, 47,236, 28, 3,072)
  std::uint64_t nonzeros = 0;  ///< rcv1: per row on average; 0: 75
  std::uint64_t clusters = 0;  ///< blobs; 0: 10
  double noise = -1;  ///< share of flipped labels (higgs, rcv1, cifar10; own: 0.3, 0.05, 0) or the
                      ///< standard deviation of a blob (own: 1); negative: the kind's own
  std::uint64_t seed = 1;
};

/// The kinds, for --help and messages.
std::vector<std::string> synthetic_kinds();

/// higgs: dense, features like HIGGS's (mixed normal and exponential), labels 0/1 by a noisy linear
/// rule, about balanced. rcv1: sparse, Zipf-distributed features, rows of unit norm, labels −1/+1.
/// blobs: isotropic Gaussian clusters in a cube, labels the cluster. cifar10: 32 × 32 images of ten
/// classes that differ by coarse colours, for write() of that format. Values carry six significant
/// digits. Throws invalid_argument for an unknown kind or sizes that make no sense.
Dataset synthesize(const SyntheticOptions& options, std::size_t threads = 1);

}  // namespace lambdaml::data
