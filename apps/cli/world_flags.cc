#include "apps/cli/world_flags.h"

#include <fmt/core.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"
#include "lambdaml/job/job.h"
#include "lambdaml/plan/simulated_job.h"

namespace lambdaml::cli {

void WorldFlags::add_to(CLI::App& command) {
  CLI::Option* const random =
      command.add_option("--rows", rows, "instead of the job's data: so many random rows")
          ->check(CLI::Range(1, 1'000'000'000));
  command.add_option("--features", features, "of --rows")
      ->check(CLI::Range(1, 1'000'000'000))
      ->needs(random);
  command.add_option(
      "--profile", profile,
      fmt::format("the world: {}, or a file [that of the job's functions, else {}]",
                  join(sim::Profile::built_in(), ", "), sim::Profile::built_in_for("")));
  command
      .add_option("--seconds-per-row", seconds_per_row,
                  "what one processor of a function computes per row [measured here]")
      ->check(CLI::NonNegativeNumber);
}

sim::Profile WorldFlags::world_of(const Options& job) const {
  if (!profile.empty()) return sim::Profile::open(profile);
  std::string architecture;
  try {
    architecture = job::functions_of(job).architecture;
  } catch (const Error& error) {
    if (error.code() == Code::cancelled) throw;
    log::info("the architecture of the job's functions is not known: {}", error.what());
  }
  return sim::Profile::open(sim::Profile::built_in_for(architecture));
}

std::shared_ptr<const data::Dataset> WorldFlags::stand_in(Options& job) const {
  if (rows == 0) return nullptr;
  job.set("data", Option::Value(std::string("rows")), "--rows");
  return plan::stand_in_rows(job, rows, features);
}

}  // namespace lambdaml::cli
