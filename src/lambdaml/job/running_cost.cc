#include "lambdaml/job/running_cost.h"

#include "lambdaml/cost/cost.h"
#include "lambdaml/faas/host.h"
#include "lambdaml/faas/registry.h"

namespace lambdaml::job {

RunningCost running_cost(const Options& options, std::int64_t memory_mb) {
  return running_cost(options.text("platform"),
                      static_cast<std::uint64_t>(options.integer("workers")), memory_mb);
}

RunningCost running_cost(const std::string& platform, std::uint64_t workers,
                         std::int64_t memory_mb) {
  const cost::Prices prices = cost::Prices::current();
  const std::string region = faas::own_region();
  const std::string& billed_as = faas::registry().get(platform).billed_as;
  const auto functions = static_cast<double>(workers);
  const auto memory = static_cast<double>(memory_mb);
  const double start = prices.of_function(billed_as, 0, memory, region);
  return {functions * start,
          functions * (prices.of_function(billed_as, 1, memory, region) - start)};
}

}  // namespace lambdaml::job
