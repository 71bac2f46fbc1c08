#include "lambdaml/base/memory.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lambdaml/base/files.h"
#include "lambdaml/optim/testing/testing.h"

/// The memory of a step whose state aggregators share out, beside what docs/reference/optimizers.md
/// says.
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

constexpr double kVector = kSharedParameters * sizeof(float);
constexpr double kMoments = 2;  // of adamw

struct Case {
  bool shards = true;
  std::uint32_t aggregators = kShares;
  bool as_worker = false;  ///< malloc keeps what is freed, as in the programs
};

/// Takes some steps as this worker; returns by how much its memory grew at most.
double growth_of_worker(const std::string& place, std::uint32_t worker, const Case& job) {
  // Large blocks go back to the kernel when they are freed: resident is what is in use.
  if (job.as_worker)
    keep_freed_memory();
  else
    ::mallopt(M_MMAP_THRESHOLD, 64 << 10);
  const auto store = storage::open(place);
  FlatModel model(kSharedParameters);
  const Plugin& plugin = registry().get("grad_avg");
  const Options options = options_of(plugin, {{"optimizer", "adamw"},
                                              {"l2", "0.01"},
                                              {"lr", "0.01"},
                                              {"shard_optimizer", job.shards ? "true" : "false"}});
  Options pattern = comm::pattern_options();
  pattern.set("aggregators", std::int64_t{job.aggregators}, "test");
  const auto communicator = comm::registry()
                                .get("reduce_scatter")
                                .make({.store = store,
                                       .job = 1,
                                       .worker = worker,
                                       .workers = kShares,
                                       .patience_s = 120,
                                       .options = pattern});
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

/// In vectors, of all workers, each a process. The first ones are the aggregators.
std::vector<double> growths(const Case& job) {
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
      shared[worker] = growth_of_worker(place, worker, job) / kVector;
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

bool has_own_memory() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return false;
#else
  return true;
#endif
}

/// The parameters, and the gradient, which becomes the new parameters.
constexpr double kAlways = 2;

TEST(ShardingMemory, IsWhatTheFormulaSays) {
  if (!has_own_memory()) GTEST_SKIP() << "sanitizers have memory of their own";
  constexpr double kMerging = 1;  // contributions of the others to a quarter, and their sum
  const double sharded = kAlways + kMoments / kShares + kMerging;
  for (const double growth : growths({})) EXPECT_NEAR(growth / sharded, 1, 0.1);
  const double whole = kAlways + kMoments + kMerging;
  for (const double growth : growths({.shards = false})) EXPECT_NEAR(growth / whole, 1, 0.1);
}

TEST(ShardingMemory, OfAWorkerIsWhatTheFormulaSays) {
  if (!has_own_memory()) GTEST_SKIP() << "sanitizers have memory of their own";
  constexpr double kKept = 1.0 / kShares;  // freed, and kept by malloc in the size that it had
  for (const double growth : growths({.as_worker = true}))
    EXPECT_NEAR(growth / (kAlways + kMoments / kShares + 1 + kKept), 1, 0.1);
}

TEST(ShardingMemory, OfFewerAggregatorsIsTheirsAlone) {
  if (!has_own_memory()) GTEST_SKIP() << "sanitizers have memory of their own";
  for (const std::uint32_t aggregators : {1U, 2U}) {
    const std::vector<double> all = growths({.aggregators = aggregators});
    for (std::uint32_t worker = 0; worker < kShares; ++worker) {
      SCOPED_TRACE(::testing::Message() << aggregators << " aggregators, worker " << worker);
      if (worker >= aggregators) {
        EXPECT_NEAR(all[worker] / (kAlways + 1), 1, 0.1);  // its contributions
        continue;
      }
      // By the formula, all contributions are there before the first is added.
      const double chunk = 1.0 / aggregators;
      EXPECT_LT(all[worker], 1.1 * (kAlways + (kMoments + kShares) * chunk));
      EXPECT_GT(all[worker], kAlways + (kMoments + 1) * chunk);
    }
  }
}

}  // namespace
}  // namespace lambdaml::optim::grad_avg
