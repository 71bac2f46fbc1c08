#pragma once

#include <cstdint>
#include <string>

#include "lambdaml/base/options.h"
#include "lambdaml/cost/cost.h"

namespace lambdaml::job {

/// What a job costs while it runs, in dollars: its functions at the platform's prices, an upper
/// estimate, as if all ran from the start of the first one.
struct RunningCost {
  double per_start = 0;  ///< all functions once
  double per_second = 0;
  double per_round = 0;

  double after(double seconds, double rounds = 0) const {
    return per_start + per_second * seconds + per_round * rounds;
  }
};

/// Of the functions alone. `memory_mb` is what each has. Throws as cost::Prices::current().
RunningCost running_cost(const Options& options, std::int64_t memory_mb,
                         const std::string& architecture = "");
/// The same for a job of which only this is known. Throws invalid_argument too, for an unknown
/// platform.
RunningCost running_cost(const std::string& platform, std::uint64_t workers, std::int64_t memory_mb,
                         const std::string& architecture = "");
/// What `budget` limits: of the functions, of the servers that the job names, and of what each
/// round saves and loads in the channel, a request at least for each message; polls and what passes
/// beside the rounds are not in it. `writes_per_s` as of the channel's storage::Capabilities.
RunningCost running_bill(const Options& options, std::int64_t memory_mb, double writes_per_s,
                         const std::string& architecture = "");

/// The row of the price table for functions of a platform: that of their architecture
/// (WorkerStats), if the table has it in the region.
std::string billed_as(const cost::Prices& prices, const std::string& platform,
                      const std::string& architecture, const std::string& region);

}  // namespace lambdaml::job
