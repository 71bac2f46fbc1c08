#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include "lambdaml/base/options.h"
#include "lambdaml/data/dataset.h"
#include "lambdaml/sim/profile.h"

namespace lambdaml::cli {

/// The flags of `simulate` and `plan` that say in which world, and with which rows, a job runs.
struct WorldFlags {
  std::string profile;          ///< built in, or a file; empty: that of the job's functions
  double seconds_per_row = -1;  ///< of one processor; below 0: to be measured
  std::uint64_t rows = 0;       ///< random ones instead of the job's data; 0: the job's data
  std::uint64_t features = 0;   ///< of `rows`, as for plan::stand_in_rows()

  /// Adds the flags. The object must live as long as the command.
  void add_to(CLI::App& command);
  /// The profile. Without one, the built-in one of the architecture of the job's deployed function,
  /// which takes a request, or of x86_64 where there is none or it is not told.
  sim::Profile world_of(const Options& job) const;
  /// Random rows instead of the job's data, which `job` is told of; null if none are asked for.
  /// Throws as plan::stand_in_rows().
  std::shared_ptr<const data::Dataset> stand_in(Options& job) const;
};

}  // namespace lambdaml::cli
