#include "lambdaml/tensor/testing/kernels_test.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "lambdaml/base/error.h"

namespace lambdaml::tensor {
namespace {

class VectorKernels : public Kernels {};
LAMBDAML_FOR_EVERY_INSTRUCTION_SET(VectorKernels);

TEST_P(VectorKernels, AxpyAndDot) {
  for (const std::size_t n : kSizes) {
    Guarded x(normals(n, 9));
    Guarded y(normals(n, 10));
    const std::vector<float> before(y.data(), y.data() + n);
    Sum expected;
    for (std::size_t i = 0; i < n; ++i) expected.add(x[i], y[i]);
    EXPECT_NEAR(k().dot(n, x.data(), y.data()), expected.value, 1e-12 * (1 + expected.magnitude));
    k().axpy(n, -1.5F, x.data(), y.data());
    for (std::size_t i = 0; i < n; ++i)
      ASSERT_NEAR(y[i], before[i] - 1.5 * x[i],
                  2e-7 * (std::abs(before[i]) + 1.5 * std::abs(x[i])));
  }
}

template <class T, class Sum>
void check_sum_in_order(Sum sum) {
  for (const std::size_t count : {0, 1, 2, 3, 8, 9, 20})
    for (const std::size_t n : kSizes) {
      std::vector<std::vector<T>> inputs;
      std::vector<const T*> pointers;
      for (std::size_t i = 0; i < count; ++i) {
        const std::vector<float> values = normals(n, 20 + i);
        inputs.emplace_back(values.begin(), values.end());
      }
      for (const auto& input : inputs) pointers.push_back(input.data());
      std::vector<T> expected(n);
      for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < count; ++j)
          expected[i] = j == 0 ? inputs[j][i] : expected[i] + inputs[j][i];
      std::vector<T> out(n, kNan);
      sum(pointers.data(), count, n, out.data());
      ASSERT_EQ(out, expected);
      std::fill(out.begin(), out.end(), kNan);
      for (std::size_t begin = 0, size = 1; begin < n; begin += size, size += 5) {  // any cut
        const std::size_t piece = std::min(size, n - begin);
        std::vector<const T*> cut;
        for (const T* input : pointers) cut.push_back(input + begin);
        sum(cut.data(), count, piece, out.data() + begin);
      }
      ASSERT_EQ(out, expected);
      if (count == 0) continue;
      sum(pointers.data(), count, n, inputs[count / 2].data());
      ASSERT_EQ(inputs[count / 2], expected) << "in place";
    }
}

TEST_P(VectorKernels, SumsAreTakenInOrderBitForBit) {
  check_sum_in_order<float>(k().sum_floats);
  check_sum_in_order<double>(k().sum_doubles);
}

TEST_P(VectorKernels, ReadAllReadsAll) {
  for (const std::size_t n : kSizes) {
    Guarded ones(std::vector<float>(n, 1.0F));
    EXPECT_EQ(k().read_all(ones.data(), n), static_cast<float>(n));
  }
}

TEST(Dispatch, PortableIsAlwaysThere) {
  const auto usable = usable_kernels();
  EXPECT_STREQ(usable.back()->name, "portable");
  EXPECT_EQ(&kernels_named(""), usable.front());
  for (const KernelTable* table : usable) EXPECT_EQ(&kernels_named(table->name), table);
}

TEST(Dispatch, AnUnknownNameSaysWhatThereIs) {
  try {
    kernels_named("avx1024");
    FAIL() << "took an instruction set that is none";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    EXPECT_THAT(error.what(), testing::HasSubstr("'avx1024'"));
    EXPECT_THAT(error.what(), testing::HasSubstr("portable"));
  }
}

TEST(DispatchDeathTest, TheEnvironmentDecides) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto names = [](const char* isa) {
    ::setenv("LAMBDAML_ISA", isa, 1);
    try {
      float one = 1;
      sum_in_order(std::span<const float* const>{}, 1, &one);
      std::fprintf(stderr, "runs %s\n", std::string(instruction_set()).c_str());
    } catch (const Error& error) {
      std::fprintf(stderr, "%s\n", error.what());
    }
    std::_Exit(0);
  };
  EXPECT_EXIT(names("portable"), testing::ExitedWithCode(0), "runs portable");
  EXPECT_EXIT(names("mmx"), testing::ExitedWithCode(0), "LAMBDAML_ISA is 'mmx'");
}

TEST(Tiles, FitTheCacheAndNeverVanish) {
  EXPECT_EQ(rows_per_tile(DenseView{nullptr, 1000, 28}) % 16, 0U);
  EXPECT_GE(rows_per_tile(DenseView{nullptr, 1000, 28}), 64U);
  EXPECT_EQ(rows_per_tile(DenseView{nullptr, 3, 1'000'000}), 16U);
  EXPECT_GE(rows_per_tile(DenseView{nullptr, 0, 0}), 16U);
  const Sparse<std::uint16_t> x(1000, 50, 0.2);
  EXPECT_GT(rows_per_tile(x.view()), rows_per_tile(DenseView{nullptr, 1000, 50}));
}

}  // namespace
}  // namespace lambdaml::tensor
