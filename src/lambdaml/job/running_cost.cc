#include "lambdaml/job/running_cost.h"

#include "lambdaml/comm/registry.h"
#include "lambdaml/cost/cost.h"
#include "lambdaml/faas/host.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/storage/storage.h"

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

RunningCost running_bill(const Options& options, std::int64_t memory_mb, double writes_per_s,
                         const std::string& architecture) {
  RunningCost out = running_cost(options, memory_mb, architecture);
  const cost::Prices prices = cost::Prices::current();
  const std::string region = faas::own_region();
  out.per_second += prices.of_servers(options.text("servers"), 1, region);
  const auto workers = static_cast<std::uint64_t>(options.integer("workers"));
  const comm::Plugin& pattern = comm::registry().get(options.text("sync_mode"));
  const std::uint64_t aggregators =
      pattern.aggregators ? pattern.aggregators({.workers = static_cast<std::uint32_t>(workers),
                                                 .options = comm::pattern_options(options),
                                                 .writes_per_s = writes_per_s})
                          : 1;
  storage::Usage round;
  if (workers > 1) {
    round.put.requests = aggregators * workers;
    round.get.requests = 2 * aggregators * (workers - 1);
    round.write_units = static_cast<double>(round.put.requests);
    round.read_units = static_cast<double>(round.get.requests);
  }
  const std::string scheme = storage::resolve(options.text("channel")).scheme;
  out.per_round = prices.of_requests({{scheme, round}}, region);
  return out;
}

}  // namespace lambdaml::job
