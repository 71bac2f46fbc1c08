#include <algorithm>

#include "bench/shapes.h"
#include "lambdaml/tensor/kernels.h"

namespace lambdaml::bench {
namespace {

/// An epoch of batches of `batch` rows, with a step after each.
template <class Data>
void epoch(const Data& data, std::size_t batch, std::size_t threads) {
  const auto x = data.view();
  std::vector<float> weights(x.cols, 0.01F);
  std::vector<std::vector<float>> gradients(threads);
  for (std::size_t begin = 0; begin < x.rows; begin += batch) {
    const std::size_t end = std::min(begin + batch, x.rows);
    over_blocks(end - begin, threads, [&](std::size_t block, std::size_t from, std::size_t to) {
      gradients[block].assign(x.cols, 0.0F);
      benchmark::DoNotOptimize(tensor::add_gradient(
          tensor::Loss::logistic, x.slice(begin + from, begin + to),
          data.labels.data() + begin + from, weights.data(), 0.1F, gradients[block].data()));
    });
    for (const auto& gradient : gradients)
      tensor::axpy(x.cols, -0.01F / static_cast<float>(end - begin), gradient.data(),
                   weights.data());
  }
  benchmark::DoNotOptimize(weights.data());
}

Work dense_work() {
  const std::size_t values = dense_data().x.size();
  return {(values + DenseData::kRows) * sizeof(float), values};
}
Work sparse_work() {
  const std::size_t entries = sparse_data().indices.size();
  return {entries * 6 + SparseData::kRows * 12, entries};
}

void read(const std::vector<float>& data, std::size_t threads) {
  over_blocks(data.size(), threads, [&](std::size_t, std::size_t begin, std::size_t end) {
    benchmark::DoNotOptimize(tensor::read_all(data.data() + begin, end - begin));
  });
}

}  // namespace

void add_linear() {
  add("read_dense", [](std::size_t threads) {
    read(dense_data().x, threads);
    read(dense_data().labels, threads);
    return dense_work();
  });
  add("linear_dense/batch:all", [](std::size_t threads) {
    epoch(dense_data(), DenseData::kRows, threads);
    return dense_work();
  });
  add("linear_dense/batch:10000", [](std::size_t threads) {
    epoch(dense_data(), 10'000, threads);
    return dense_work();
  });
  add("linear_sparse/batch:all", [](std::size_t threads) {
    epoch(sparse_data(), SparseData::kRows, threads);
    return sparse_work();
  });
}

}  // namespace lambdaml::bench
