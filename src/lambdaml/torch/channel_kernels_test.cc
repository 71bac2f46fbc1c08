// Every instruction set that this processor has gives what the portable kernels give.
#include "lambdaml/torch/channel_kernels.h"

#include <bit>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "lambdaml/base/rng.h"
#include "lambdaml/tensor/kernel_dispatch.h"

namespace lambdaml::torch_library {
namespace {

std::vector<const ChannelKernels*> usable() {
  std::vector<const ChannelKernels*> out;
#if defined(__x86_64__)
  for (const tensor::KernelTable* table : tensor::usable_kernels())
    for (const ChannelKernels* kernels : {&kAvx512Channels, &kAvx2Channels})
      if (std::string_view(table->name) == kernels->name) out.push_back(kernels);
#endif
  return out;
}

constexpr std::size_t kChannels = 80;
constexpr Window kWindow = {2, kChannels, 5, 4, 3, 2, 2};
constexpr std::size_t kRows = kWindow.images * kWindow.height * kWindow.width;
constexpr std::size_t kOutRows = kWindow.images * kWindow.out_height * kWindow.out_width;

std::vector<float> normals(std::size_t n, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> out(n);
  for (float& value : out) value = static_cast<float>(rng.normal());
  return out;
}

template <class T>
const ChannelOps<T>& ops_of(const ChannelKernels& kernels) {
  if constexpr (std::is_same_v<T, float>)
    return kernels.wide;
  else
    return kernels.narrow;
}

float number(Bf16 value) {
  const std::uint32_t bits = std::uint32_t{value} << 16;
  return std::bit_cast<float>(bits);
}

template <class T>
std::vector<T> as(const std::vector<float>& values) {
  std::vector<T> out(values.size());
  ops_of<T>(kPortableChannels).from_float(values.size(), values.data(), out.data());
  return out;
}

/// Everything that the kernels compute, one after the other.
template <class T>
std::vector<double> results(const ChannelKernels& kernels) {
  const ChannelOps<T>& ops = ops_of<T>(kernels);
  const std::vector<T> x = as<T>(normals(kRows * kChannels, 1));
  const std::vector<T> gradient = as<T>(normals(kRows * kChannels, 2));
  const std::vector<float> scale = normals(kChannels, 3);
  const std::vector<float> shift = normals(kChannels, 4);
  const std::vector<float> mean = normals(kChannels, 5);
  const Affine by{scale.data(), shift.data()};
  std::vector<double> all;
  const auto keep = [&](const auto& values) {
    for (const auto value : values)
      if constexpr (std::is_same_v<std::remove_cvref_t<decltype(value)>, Bf16>)
        all.push_back(number(value));
      else
        all.push_back(value);
  };
  std::vector<T> out(x.size());
  ops.normalize(kRows, kChannels, x.data(), by, out.data());
  keep(out);
  ops.join(kRows, kChannels, x.data(), by, gradient.data(), by, x.data(), out.data());
  keep(out);
  std::vector<double> sums(2 * kChannels);
  ops.moments(kRows, kChannels, x.data(), sums.data());
  ops.gradient_sums(kRows, kChannels, gradient.data(), x.data(), by, mean.data(), sums.data());
  ops.plain_gradient_sums(kRows, kChannels, gradient.data(), x.data(), mean.data(), sums.data());
  keep(sums);
  ops.normalize_backward(kRows, kChannels, gradient.data(), x.data(), by, scale.data(),
                         shift.data(), mean.data(), out.data());
  keep(out);
  ops.plain_normalize_backward(kRows, kChannels, gradient.data(), x.data(), scale.data(),
                               shift.data(), mean.data(), out.data());
  ops.mask(out.size(), x.data(), out.data());
  ops.add(out.size(), x.data(), out.data());
  keep(out);
  std::vector<float> means(kWindow.images * kChannels);
  ops.mean(kWindow.images, kRows / kWindow.images, kChannels, x.data(), means.data());
  keep(means);
  ops.mean_backward(kWindow.images, kRows / kWindow.images, kChannels, means.data(), out.data());
  keep(out);
  std::vector<T> pooled(kOutRows * kChannels);
  ops.max_pool(kWindow, x.data(), pooled.data());
  keep(pooled);
  out.assign(out.size(), T{});
  ops.max_pool_backward(kWindow, x.data(), pooled.data(), gradient.data(), out.data());
  keep(out);
  std::vector<float> weights(9 * kChannels, 1.0F);
  ops.depthwise_weights(kWindow, x.data(), gradient.data(), weights.data());
  keep(weights);
  return all;
}

template <class T>
void expect_agreement(double tolerance) {
  const std::vector<double> portable = results<T>(kPortableChannels);
  for (const ChannelKernels* kernels : usable()) {
    const std::vector<double> found = results<T>(*kernels);
    ASSERT_EQ(found.size(), portable.size());
    for (std::size_t i = 0; i < found.size(); ++i)
      ASSERT_NEAR(found[i], portable[i], tolerance * (1 + std::abs(portable[i])))
          << kernels->name << " at " << i;
  }
}

TEST(ChannelKernels, AgreeInFloat) { expect_agreement<float>(2e-5); }

TEST(ChannelKernels, AgreeInBfloat16) { expect_agreement<Bf16>(1e-2); }

TEST(ChannelKernels, RoundToTheNearestBfloat16) {
  // 1 + 2⁻⁸ lies between 1 and 1 + 2⁻⁷, whose last bits are 0 and 1; 1 + 3 · 2⁻⁸ the other way.
  const std::vector<float> x = {1.0F, 1.0F + 0x1p-8F, 1.0F + 0x1.8p-8F, 1.0F + 0x1.8p-7F, -0.0F};
  const std::vector<float> rounded = {1.0F, 1.0F, 1.0F + 0x1p-7F, 1.0F + 0x1p-6F, -0.0F};
  std::vector<const ChannelKernels*> all = usable();
  all.push_back(&kPortableChannels);
  for (const ChannelKernels* kernels : all) {
    std::vector<Bf16> out(x.size());
    kernels->narrow.from_float(x.size(), x.data(), out.data());
    for (std::size_t i = 0; i < x.size(); ++i) EXPECT_EQ(number(out[i]), rounded[i]) << i;
  }
}

}  // namespace
}  // namespace lambdaml::torch_library
