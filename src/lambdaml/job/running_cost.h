#pragma once

#include <cstdint>
#include <string>

#include "lambdaml/base/options.h"
#include "lambdaml/cost/cost.h"

namespace lambdaml::job {

/// What a job's functions cost while they run, in dollars, at the platform's prices: an upper
/// estimate, as if all ran from the start of the first one. Requests to stores are not included.
struct RunningCost {
  double per_start = 0;  ///< all functions once
  double per_second = 0;

  double after(double seconds) const { return per_start + per_second * seconds; }
};

/// `memory_mb` is what each function has. Throws as cost::Prices::current().
RunningCost running_cost(const Options& options, std::int64_t memory_mb,
                         const std::string& architecture = "");
/// The same for a job of which only this is known. Throws invalid_argument too, for an unknown
/// platform.
RunningCost running_cost(const std::string& platform, std::uint64_t workers, std::int64_t memory_mb,
                         const std::string& architecture = "");

/// The row of the price table for functions of a platform: that of their architecture
/// (WorkerStats), if the table has it in the region.
std::string billed_as(const cost::Prices& prices, const std::string& platform,
                      const std::string& architecture, const std::string& region);

}  // namespace lambdaml::job
