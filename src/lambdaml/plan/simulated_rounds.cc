#include "lambdaml/plan/simulated_rounds.h"

#include <algorithm>

#include "lambdaml/base/error.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/sim/world.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::plan {
namespace {

/// The scheme of stores that live in a simulation.
constexpr const char* kScheme = "sim";

/// A whole number, so that sums of ten thousand are exact in any order.
float contribution(std::uint32_t worker, std::uint64_t round, std::size_t i) {
  return static_cast<float>((worker + round + i) % 7);
}

}  // namespace

SimulatedRounds simulate_rounds(const Round& round, const sim::Profile& profile,
                                const std::string& store, double memory_mb, std::uint64_t rounds,
                                std::uint64_t seed, double byte_scale) {
  sim::Simulation simulation(seed);
  sim::World world(simulation, profile);
  world.byte_scale = byte_scale;
  const auto values = static_cast<std::size_t>(std::max(1.0, round.bytes / 4 / byte_scale));
  SimulatedRounds out;
  out.seconds.assign(rounds, 0);
  std::vector<float> expected(rounds * values);
  for (std::uint64_t r = 0; r < rounds; ++r)
    for (std::uint32_t worker = 0; worker < round.workers; ++worker)
      for (std::size_t i = 0; i < values; ++i)
        expected[r * values + i] += contribution(worker, r, i);
  const auto work = [&](std::uint32_t worker) {
    comm::Membership membership;
    membership.store = storage::open(fmt::format("{}://{}/rounds", kScheme, store));
    membership.job = seed;
    membership.worker = worker;
    membership.workers = round.workers;
    if (!profile.store(store).adds)  // it is its own aggregator
      membership.options.set("aggregators",
                             Option::Value(static_cast<std::int64_t>(round.aggregators)), "rounds");
    const auto communicator = comm::make_communicator("reduce", membership);
    std::vector<float> vector(values);
    for (std::uint64_t r = 0; r < rounds; ++r) {
      for (std::size_t i = 0; i < values; ++i) vector[i] = contribution(worker, r, i);
      communicator->merge({vector, {}}, comm::Meaning::state);
      out.seconds[r] = std::max(out.seconds[r], simulation.now_s());
      out.equal =
          out.equal && std::equal(vector.begin(), vector.end(),
                                  expected.begin() + static_cast<std::ptrdiff_t>(r * values));
    }
  };
  for (std::uint32_t worker = 0; worker < round.workers; ++worker) {
    const auto process =
        simulation.start(fmt::format("worker-{}", worker), [&work, worker] { work(worker); });
    process->annotation = world.new_network(memory_mb);
  }
  simulation.run();
  for (std::uint64_t r = rounds; r-- > 1;) out.seconds[r] -= out.seconds[r - 1];
  const sim::Traffic& traffic = world.store(store)->traffic();
  out.puts = traffic.puts;
  out.gets = traffic.gets;
  return out;
}

}  // namespace lambdaml::plan
