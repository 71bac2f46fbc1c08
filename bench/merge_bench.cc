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

}  // namespace

void add_merge() {
  add("read_merge", [](std::size_t threads) {
    for (const auto& input : merge_data().inputs)
      over_blocks(kFloats, threads, [&](std::size_t, std::size_t begin, std::size_t end) {
        benchmark::DoNotOptimize(tensor::read_all(input.data() + begin, end - begin));
      });
    return kInputs * kFloats * sizeof(float);
  });
  // Bytes: the inputs read and the result written.
  add("merge/inputs:8", [](std::size_t threads) {
    MergeData& data = merge_data();
    over_blocks(kFloats, threads, [&](std::size_t, std::size_t begin, std::size_t end) {
      const float* inputs[kInputs];
      for (std::size_t i = 0; i < kInputs; ++i) inputs[i] = data.inputs[i].data() + begin;
      tensor::sum_in_order(inputs, end - begin, data.out.data() + begin);
    });
    return (kInputs + 1) * kFloats * sizeof(float);
  });
}

}  // namespace lambdaml::bench
