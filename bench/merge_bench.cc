#include <algorithm>
#include <array>

#include "bench/shapes.h"
#include "lambdaml/tensor/kernels.h"

namespace lambdaml::bench {
namespace {

constexpr std::size_t kInputs = 8;
constexpr std::size_t kFloats = 3'200'000;

struct MergeData {
  std::vector<std::vector<float>> inputs{kInputs, std::vector<float>(kFloats, 0.5F)};
  std::vector<float> out = std::vector<float>(kFloats);
};
MergeData& merge_data() {
  static MergeData data;
  return data;
}

std::array<const float*, kInputs> inputs_from(std::size_t begin) {
  std::array<const float*, kInputs> inputs;
  for (std::size_t i = 0; i < kInputs; ++i) inputs[i] = merge_data().inputs[i].data() + begin;
  return inputs;
}

}  // namespace

void add_merge() {
  // The same loads, without a result in memory: pieces are summed into a scratch in the cache.
  add("read_merge", [](std::size_t threads) {
    over_blocks(kFloats, threads, [&](std::size_t, std::size_t begin, std::size_t end) {
      constexpr std::size_t kPiece = 4096;
      float scratch[kPiece];
      for (std::size_t at = begin; at < end; at += kPiece) {
        const std::size_t n = std::min(kPiece, end - at);
        tensor::sum_in_order(inputs_from(at), n, scratch);
        benchmark::DoNotOptimize(scratch);
      }
    });
    return Work{kInputs * kFloats * sizeof(float), kInputs * kFloats};
  });
  // Bytes: the inputs read and the result written.
  add("merge/inputs:8", [](std::size_t threads) {
    over_blocks(kFloats, threads, [&](std::size_t, std::size_t begin, std::size_t end) {
      tensor::sum_in_order(inputs_from(begin), end - begin, merge_data().out.data() + begin);
    });
    return Work{(kInputs + 1) * kFloats * sizeof(float), kInputs * kFloats};
  });
}

}  // namespace lambdaml::bench
