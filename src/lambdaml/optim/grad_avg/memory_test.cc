#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lambdaml/base/files.h"
#include "lambdaml/optim/testing/testing.h"

/// The memory of a step whose state aggregators share out, beside what docs/optimizers.md says.
namespace lambdaml::optim::grad_avg {
namespace {

/// A gradient for each parameter, without any memory of its own.
class FlatModel final : public model::GradientModel {
 public:
  explicit FlatModel(std::size_t size) : size_(size) {}
  std::size_t parameter_count() const override { return size_; }
  void initialize(const Start&, std::span<float>) override {}
  model::Totals accumulate(const model::Batch& batch, std::span<const float> parameters,
                           std::span<float> sums) override {
    for (std::size_t i = 0; i < size_; ++i) sums[i] += parameters[i] - 1;
    return {.rows = static_cast<double>(batch.rows())};
  }
  model::Totals evaluate(const model::Batch&, std::span<const float>) override { return {}; }
  Prediction predict(const model::Batch&, std::span<const float>, const Wanted&) override {
    return {};
  }
  std::vector<Piece> pieces() const override { return {{"weight", {size_}}}; }
  std::vector<std::pair<std::size_t, std::size_t>> penalized() const override {
    return {{0, size_}};
  }

 private:
  std::size_t size_;
};

/// In bytes: VmRSS, VmHWM.
double memory_of_this_process(const std::string& what) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(what + ":")) return std::stod(line.substr(what.size() + 1)) * 1024;
  return 0;
}

using optim::testing::options_of;
using optim::testing::Rows;

constexpr std::uint32_t kShares = 4;
constexpr std::size_t kSharedParameters = 3'200'000;  // 12.8 MB

/// Takes some steps as this worker; returns by how much its memory grew at most.
double growth_of_worker(const std::string& place, std::uint32_t worker, bool shards) {
  const auto store = storage::open(place);
  FlatModel model(kSharedParameters);
  const Plugin& plugin = registry().get("grad_avg");
  const Options options = options_of(plugin, {{"optimizer", "adamw"},
                                              {"l2", "0.01"},
                                              {"lr", "0.01"},
                                              {"shard_optimizer", shards ? "true" : "false"}});
  const auto communicator =
      comm::registry()
          .get("reduce_scatter")
          .make(
              {.store = store, .job = 1, .worker = worker, .workers = kShares, .patience_s = 120});
  Rows rows(1, 1);
  const model::Batch batch = rows.dense();
  // What the libraries need once.
  double warm = 1;
  communicator->merge({{}, {&warm, 1}}, comm::Meaning::state);
  const double before = memory_of_this_process("VmRSS");
  const auto optimizer = plugin.make({.model = model,
                                      .communicator = *communicator,
                                      .rows_per_round = {kShares},
                                      .rows = kShares,
                                      .own_rows = 1},
                                     options);
  optimizer->begin(std::vector<float>(kSharedParameters));
  std::ofstream("/proc/self/clear_refs") << 5;  // VmHWM begins anew
  for (std::uint64_t epoch = 0; epoch < 4; ++epoch) {
    optimizer->step(batch, {.epoch = epoch, .last_of_pass = true, .last_of_epoch = true});
    communicator->retire(communicator->round());
  }
  return memory_of_this_process("VmHWM") - before;
}

/// Of all workers, each a process.
std::vector<double> growths(bool shards) {
  const std::string place =
      (shared_memory_folder() / ("shard-memory-" + std::to_string(::getpid()))).string();
  auto* shared = static_cast<double*>(
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  EXPECT_NE(static_cast<void*>(shared), MAP_FAILED);
  std::vector<pid_t> processes;
  for (std::uint32_t worker = 0; worker < kShares; ++worker) {
    processes.push_back(::fork());
    if (processes.back() != 0) continue;
    try {
      shared[worker] = growth_of_worker(place, worker, shards);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
      ::_exit(1);
    }
    ::_exit(0);
  }
  for (const pid_t process : processes) {
    int status = 0;
    ::waitpid(process, &status, 0);
    EXPECT_EQ(status, 0);
  }
  std::vector<double> out(shared, shared + kShares);
  ::munmap(shared, 4096);
  std::filesystem::remove_all(place);
  return out;
}

TEST(ShardingMemory, IsWhatTheFormulaSays) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers have memory of their own";
#endif
  constexpr double kVector = kSharedParameters * sizeof(float);
  constexpr double kMoments = 2, kAggregators = kShares;
  const double expected =
      kVector * (1 + 1 + kMoments / kAggregators +
                 std::max((kAggregators - 1) / kAggregators, (kShares + 1) / kAggregators));
  for (const double growth : growths(true)) EXPECT_NEAR(growth / expected, 1, 0.1);
  // All workers have all moments.
  const double more = kVector * (kMoments - kMoments / kAggregators);
  for (const double growth : growths(false)) EXPECT_GT(growth, expected + 0.7 * more);
}

}  // namespace
}  // namespace lambdaml::optim::grad_avg
