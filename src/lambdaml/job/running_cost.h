#pragma once

#include <cstdint>
#include <string>

#include "lambdaml/base/options.h"

namespace lambdaml::job {

/// What a job's functions cost while they run, in dollars, at the platform's prices: an upper
/// estimate, as if all ran from the start of the first one. Requests to stores are not included.
struct RunningCost {
  double per_start = 0;  ///< all functions once
  double per_second = 0;

  double after(double seconds) const { return per_start + per_second * seconds; }
};

/// `memory_mb` is what each function has. Throws as cost::Prices::current().
RunningCost running_cost(const Options& options, std::int64_t memory_mb);
/// The same for a job of which only this is known. Throws invalid_argument too, for an unknown
/// platform.
RunningCost running_cost(const std::string& platform, std::uint64_t workers,
                         std::int64_t memory_mb);

}  // namespace lambdaml::job
