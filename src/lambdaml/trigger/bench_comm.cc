#include "lambdaml/trigger/bench_comm.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/rng.h"
#include "lambdaml/comm/message.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/control/channel.h"
#include "lambdaml/control/job_channel.h"
#include "lambdaml/control/stores.h"
#include "lambdaml/cost/cost.h"
#include "lambdaml/faas/host.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/job/event.h"
#include "lambdaml/job/job.h"
#include "lambdaml/job/job_file.h"
#include "lambdaml/storage/own_place.h"
#include "lambdaml/trigger/platform.h"

namespace lambdaml::trigger {
namespace {

using nlohmann::json;

double median_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Saves and loads `bytes` several times, for at most about half a second.
RequestTimes time_requests(storage::Storage& store, std::size_t bytes) {
  constexpr double kSeconds = 0.5;
  constexpr std::size_t kMost = 101;
  Buffer value(bytes);
  std::fill_n(value.data(), bytes, std::byte{0x5a});
  std::vector<double> puts, gets;
  std::vector<std::string> keys;
  const Stopwatch all;
  while (puts.size() < 3 || (puts.size() < kMost && all.seconds() < kSeconds)) {
    keys.push_back(fmt::format("floor/{}-{}", bytes, puts.size()));
    const Stopwatch put;
    store.save(keys.back(), value);
    puts.push_back(put.seconds());
    const Stopwatch get;
    const std::optional<Buffer> back = store.load(keys.back());
    gets.push_back(get.seconds());
    if (!back || back->size() != bytes)
      fail(Code::internal, "{}: '{}' did not come back", store.describe(), keys.back());
  }
  store.remove_all(keys);
  RequestTimes times{median_of(puts), median_of(gets), 0};
  times.bytes_per_s = 2 * static_cast<double>(bytes) / (times.put_s + times.get_s);
  return times;
}

RequestTimes measure_requests(storage::Storage& store, std::uint64_t values) {
  constexpr std::size_t kLarge = 8 << 20;
  const std::size_t message = comm::encode({}, {}, std::vector<float>(values)).size();
  RequestTimes times = time_requests(store, message);
  times.bytes_per_s = std::max(times.bytes_per_s, time_requests(store, kLarge).bytes_per_s);
  return times;
}

/// Runs the workers to their end and returns their reports.
std::vector<std::string> run_workers(job::BenchCommEvent event, const storage::Storage& channel) {
  std::vector<std::string> payloads;
  for (event.worker = 0; event.worker < event.workers; ++event.worker)
    payloads.push_back(job::to_json(event));
  const auto& all = faas::registry().entries();
  const auto here = std::ranges::find_if(
      all, [](const faas::Plugin& plugin) { return plugin.separate_processes && !plugin.remote; });
  if (here == all.end())
    fail(Code::invalid_argument, "this build has no platform that runs workers as processes here");
  const Platform platform(here->name, Options(std::vector<Option>()), channel);
  faas::Function function = platform.function();
  function.retries = 0;
  return wait_for_all(*platform.invoke_all(function, std::move(payloads), {}));
}

}  // namespace

BenchCommResult bench_comm(const BenchCommOptions& options) {
  job::BenchCommEvent event;
  event.job_id = "bench-" + job::new_job_id();
  event.workers = options.workers;
  event.channel = storage::resolve(options.channel).text();
  event.sync_mode = comm::registry().get(options.sync_mode).name;
  event.values = (options.bytes + 3) / 4;
  event.rounds = options.rounds;
  control::Stores stores;
  control::JobChannel channel(stores, event.channel, event.job_id, false,
                              control::JobChannel::Stop::patient);
  BenchCommResult result;
  const std::vector<std::string> reports = channel.use([&] {
    result.request = measure_requests(channel.store(), event.values);
    return run_workers(event, channel.store());
  });

  std::vector<double> slowest(options.rounds, 0.0);
  cost::UsageByStore usage;
  result.bitwise_equal = true;
  for (const std::string& text : reports) {
    const json report = parse_json(text);
    const auto seconds = report.at("seconds").get<std::vector<double>>();
    for (std::size_t i = 0; i < slowest.size(); ++i)
      slowest[i] = std::max(slowest[i], seconds.at(i));
    result.requests += report.at("requests").get<double>() / static_cast<double>(options.rounds);
    result.bytes += report.at("bytes").get<double>() / static_cast<double>(options.rounds);
    result.bitwise_equal = result.bitwise_equal && report.at("bitwise_equal").get<bool>();
    cost::add(usage, cost::usage_from_json(report.at("usage")));
  }
  result.cost_usd = cost::Prices::current().of_requests(usage, faas::own_region()) /
                    static_cast<double>(options.rounds);
  if (event.workers > 1) {
    const double message = 64 + 4 * static_cast<double>(event.values);
    result.floor_s = 2 * result.request.put_s + 2 * result.request.get_s +
                     std::max(0.0, result.bytes - 4 * message) / result.request.bytes_per_s;
  }
  if (slowest.size() > 1) slowest.erase(slowest.begin());
  std::sort(slowest.begin(), slowest.end());
  result.median_s = slowest[slowest.size() / 2];
  result.min_s = slowest.front();
  result.max_s = slowest.back();
  return result;
}

}  // namespace lambdaml::trigger
