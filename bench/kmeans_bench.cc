#include "bench/shapes.h"
#include "lambdaml/tensor/kernels.h"

namespace lambdaml::bench {
namespace {

/// One iteration of Lloyd's algorithm: assignment, sums and counts in one pass over the rows.
void iteration(std::size_t k, std::size_t threads) {
  const tensor::DenseView x = dense_data().view();
  tensor::Centroids centroids;
  centroids.prepare(x.data, k, x.cols);
  std::vector<std::vector<double>> sums(threads);
  std::vector<std::vector<double>> counts(threads);
  std::vector<std::vector<float>> scratch(threads);
  over_blocks(x.rows, threads, [&](std::size_t block, std::size_t begin, std::size_t end) {
    sums[block].assign(k * x.cols, 0.0);
    counts[block].assign(k, 0.0);
    scratch[block].assign(k * (x.cols + 1), 0.0F);
    benchmark::DoNotOptimize(tensor::assign(x.slice(begin, end), centroids, sums[block].data(),
                                            counts[block].data(), scratch[block].data(), nullptr,
                                            nullptr));
  });
}

}  // namespace

void add_kmeans() {
  for (const std::size_t k : {10, 100})
    add("kmeans/k:" + std::to_string(k), [k](std::size_t threads) {
      iteration(k, threads);
      const std::size_t values = dense_data().x.size();
      return Work{values * sizeof(float), values};
    });
}

}  // namespace lambdaml::bench
