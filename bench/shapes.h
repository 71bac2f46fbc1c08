#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "lambdaml/tensor/view.h"

/// Inputs of the benchmarks; peers.py makes the same shapes.
namespace lambdaml::bench {

/// 1,000,000 × 28 normal floats, as HIGGS, and labels 0/1 of a noisy linear rule.
struct DenseData {
  static constexpr std::size_t kRows = 1'000'000;
  static constexpr std::size_t kCols = 28;
  std::vector<float> x;
  std::vector<float> labels;
  tensor::DenseView view() const { return {x.data(), kRows, kCols}; }
};
/// Made at the first call and kept.
const DenseData& dense_data();

/// 200,000 × 47,236 with about 73 entries a row at uniform places, as RCV1 in size.
struct SparseData {
  static constexpr std::size_t kRows = 200'000;
  static constexpr std::size_t kCols = 47'236;
  static constexpr std::size_t kMeanEntries = 73;
  std::vector<std::uint64_t> offsets;
  std::vector<std::uint16_t> indices;
  std::vector<float> values;
  std::vector<float> labels;
  tensor::Csr16 view() const {
    return {offsets.data(), indices.data(), values.data(), kRows, kCols};
  }
};
const SparseData& sparse_data();

/// What one run had to do: bytes moved to and from memory, and numbers taken in.
struct Work {
  std::size_t bytes;
  std::size_t values;
};

/// Registers `name/threads:T` for T = 1 and, where there are two processors, 2. `run(threads)` does
/// the work once.
void add(const std::string& name, const std::function<Work(std::size_t threads)>& run);

/// Calls body(begin, end) for one block of rows per thread.
void over_blocks(
    std::size_t rows, std::size_t threads,
    const std::function<void(std::size_t block, std::size_t begin, std::size_t end)>& body);

/// Registers the benchmarks of a subject.
void add_linear();
void add_kmeans();
void add_merge();
void add_peak();
void add_text();
void add_deep();

}  // namespace lambdaml::bench
