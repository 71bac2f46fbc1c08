#include "lambdaml/job/running_cost.h"

#include "lambdaml/cost/cost.h"
#include "lambdaml/faas/host.h"
#include "lambdaml/faas/registry.h"

namespace lambdaml::job {

std::string billed_as(const cost::Prices& prices, const std::string& platform,
                      const std::string& architecture, const std::string& region) {
  const std::string& usual = faas::registry().get(platform).billed_as;
  const std::string own = usual + "_" + architecture;
  return prices.regions().at(prices.priced_region(region)).contains(own) ? own : usual;
}

RunningCost running_cost(const Options& options, std::int64_t memory_mb,
                         const std::string& architecture) {
  return running_cost(options.text("platform"),
                      static_cast<std::uint64_t>(options.integer("workers")), memory_mb,
                      architecture);
}

RunningCost running_cost(const std::string& platform, std::uint64_t workers, std::int64_t memory_mb,
                         const std::string& architecture) {
  const cost::Prices prices = cost::Prices::current();
  const std::string region = faas::own_region();
  const std::string row = billed_as(prices, platform, architecture, region);
  const auto functions = static_cast<double>(workers);
  const auto memory = static_cast<double>(memory_mb);
  const double start = prices.of_function(row, 0, memory, region);
  return {functions * start, functions * (prices.of_function(row, 1, memory, region) - start)};
}

}  // namespace lambdaml::job
