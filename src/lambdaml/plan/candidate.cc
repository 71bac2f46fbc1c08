#include "lambdaml/plan/candidate.h"

#include <utility>

#include "lambdaml/base/held_warnings.h"

namespace lambdaml::plan {

bool train_the_same(const Candidate& a, const Candidate& b) {
  return a.way == b.way && a.workers == b.workers;
}

double usd_of_seconds(const Candidate& candidate, const sim::FunctionProfile& functions,
                      const sim::StoreProfile& channel, double s) {
  const double gigabytes = static_cast<double>(candidate.memory_mb) / 1024;
  return s * (static_cast<double>(candidate.workers) * functions.gb_second * gigabytes +
              channel.prices.hour / 3600);
}

SimulatedRun simulate_candidate(Options job, const Candidate& candidate,
                                const SimulatedWorld& world, std::uint64_t seed) {
  const auto set = [&](const char* name, std::int64_t value) {
    job.set(name, Option::Value(value), name);
  };
  set("workers", candidate.workers);
  set("memory_mb", candidate.memory_mb);
  // A store that adds up itself refuses them.
  if (!world.profile.store(world.channel).adds) set("aggregators", candidate.aggregators);
  const log::QuietLog quiet;  // what is to be said of the job's options was said of the first one
  return simulate(in_world(std::move(job), world), world, seed);
}

}  // namespace lambdaml::plan
