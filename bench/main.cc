#include <algorithm>
#include <cmath>

#include "bench/shapes.h"
#include "lambdaml/base/memory.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/base/rng.h"
#include "lambdaml/tensor/kernels.h"

namespace lambdaml::bench {

const DenseData& dense_data() {
  static const DenseData data = [] {
    DenseData made;
    Rng rng(1);
    made.x.resize(DenseData::kRows * DenseData::kCols);
    made.labels.resize(DenseData::kRows);
    for (float& x : made.x) x = static_cast<float>(rng.normal());
    for (std::size_t i = 0; i < DenseData::kRows; ++i) {
      const float* row = made.x.data() + i * DenseData::kCols;
      made.labels[i] = row[0] - row[1] + row[2] + rng.normal() > 0 ? 1.0F : 0.0F;
    }
    return made;
  }();
  return data;
}

const SparseData& sparse_data() {
  static const SparseData data = [] {
    SparseData made;
    Rng rng(2);
    const std::size_t gap = 2 * SparseData::kCols / SparseData::kMeanEntries;
    made.offsets.push_back(0);
    for (std::size_t i = 0; i < SparseData::kRows; ++i) {
      double rule = 0;
      for (std::size_t c = rng.below(gap); c < SparseData::kCols; c += 1 + rng.below(gap)) {
        made.indices.push_back(static_cast<std::uint16_t>(c));
        made.values.push_back(static_cast<float>(rng.uniform()));
        rule += c % 2 == 0 ? made.values.back() : -made.values.back();
      }
      made.offsets.push_back(made.indices.size());
      made.labels.push_back(rule > 0 ? 1.0F : 0.0F);
    }
    return made;
  }();
  return data;
}

void add(const std::string& name, const std::function<Work(std::size_t)>& run) {
  for (std::size_t threads = 1; threads <= std::min<std::size_t>(2, processors()); ++threads) {
    benchmark::RegisterBenchmark(
        (name + "/threads:" + std::to_string(threads)).c_str(),
        [run, threads](benchmark::State& state) {
          Work work = run(threads);  // touches what it writes
          for (auto _ : state) work = run(threads);
          state.SetBytesProcessed(static_cast<std::int64_t>(work.bytes) * state.iterations());
          using benchmark::Counter;
          state.counters["seconds_per_value"] =
              Counter(static_cast<double>(work.values),
                      Counter::kIsIterationInvariantRate | Counter::kInvert);
        })
        ->Unit(benchmark::kMillisecond)
        ->UseRealTime();
  }
}

void over_blocks(std::size_t rows, std::size_t threads,
                 const std::function<void(std::size_t, std::size_t, std::size_t)>& body) {
  parallel_for(threads, threads, [&](std::size_t block) {
    body(block, rows * block / threads, rows * (block + 1) / threads);
  });
}

}  // namespace lambdaml::bench

int main(int argc, char** argv) {
  lambdaml::keep_freed_memory();
  benchmark::AddCustomContext("instruction_set", std::string(lambdaml::tensor::instruction_set()));
  lambdaml::bench::add_linear();
  lambdaml::bench::add_kmeans();
  lambdaml::bench::add_merge();
  lambdaml::bench::add_text();
  lambdaml::bench::add_deep();
  lambdaml::bench::add_peak();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
