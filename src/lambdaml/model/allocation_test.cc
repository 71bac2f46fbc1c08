#include <atomic>
#include <cstdlib>
#include <new>

#include <gtest/gtest.h>

#include "lambdaml/model/testing/testing.h"

namespace {
std::atomic<std::size_t> allocations{0};
}

// Counts every allocation of this executable.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* p = std::malloc(size == 0 ? 1 : size)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(size == 0 ? 1 : size);
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace lambdaml::model {
namespace {

using namespace model::testing;

TEST(Allocation, NoneOnceTheLargestBatchWasSeen) {
  struct Kind {
    std::string plugin;
    std::size_t classes;
    std::map<std::string, std::string> options;
  };
  const Kind kinds[] = {{"lr", 2, {}},
                        {"lr", 3, {{"threads", "2"}}},
                        {"svm", 2, {}},
                        {"kmeans", 2, {{"clusters", "8"}, {"threads", "2"}}}};
  // 12,000 rows of 28 are enough for two threads.
  Rows rows = random_rows(12'000, 28, 2, 1);
  for (const auto& [plugin, classes, options] : kinds) {
    const auto model = make_model(plugin, shape_of(28, classes), options);
    const std::vector<float> parameters(model->parameter_count(), 0.25F);
    std::vector<float> sums(model->sums_count());
    std::vector<double> wide(model->sums_count());
    const auto add = [&](const Batch& batch) {
      if (auto* gradients = dynamic_cast<GradientModel*>(model.get()))
        gradients->accumulate(batch, parameters, sums);
      else
        dynamic_cast<ExpectationModel&>(*model).accumulate(batch, parameters, wide);
    };
    const Batch dense = rows.dense();
    const Batch sparse = rows.csr16();
    add(dense);
    add(sparse);
    const std::size_t before = allocations;
    for (std::size_t begin = 0; begin < 12'000; begin += 1000)
      add(dense.slice(begin, begin + 1000));
    add(sparse.slice(3, 1000));
    add(dense);
    // k-means looks for the silhouette, at a job's end.
    if (plugin != "kmeans") model->evaluate(sparse, parameters);
    EXPECT_EQ(allocations, before) << plugin << " " << classes;
  }
}

}  // namespace
}  // namespace lambdaml::model
