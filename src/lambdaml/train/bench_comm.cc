#include "lambdaml/train/bench_comm.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/rng.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/train/channel.h"
#include "lambdaml/train/job.h"
#include "lambdaml/train/platform.h"

namespace lambdaml::train {
namespace {

using nlohmann::json;

/// What worker `worker` contributes in every round: floats of many magnitudes, so that a sum in
/// another order has other bits.
std::vector<float> contribution(std::uint32_t worker, std::uint64_t n) {
  Rng rng(mix({worker, n}));
  std::vector<float> values(n);
  for (float& value : values)
    value = static_cast<float>(rng.uniform(-1, 1) * static_cast<double>(1ULL << rng.below(20)));
  return values;
}

}  // namespace

std::string measure_rounds(const BenchCommEvent& event, const faas::Invocation& invocation) {
  const auto meter = std::make_shared<storage::Meter>();
  comm::Membership membership;
  membership.store = stoppable(open_channel(event.channel, event.job_id, meter), invocation);
  membership.job = checksum(as_bytes(event.job_id));
  membership.worker = event.worker;
  membership.workers = event.workers;
  membership.patience_s = event.patience_s;
  membership.deadline = invocation.deadline;
  const auto communicator = comm::registry().get(event.sync_mode).make(membership);

  const std::vector<float> own = contribution(event.worker, event.values);
  std::vector<float> expected = contribution(0, event.values);
  for (std::uint32_t worker = 1; worker < event.workers; ++worker) {
    const std::vector<float> other = contribution(worker, event.values);
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += other[i];
  }
  std::vector<float> values(own.size());
  std::vector<double> seconds;
  bool equal = true;
  for (std::uint64_t round = 0; round < event.rounds; ++round) {
    std::copy(own.begin(), own.end(), values.begin());
    const Stopwatch clock;
    communicator->merge({values, {}}, comm::Meaning::state);
    seconds.push_back(clock.seconds());
    equal =
        equal && std::memcmp(values.data(), expected.data(), values.size() * sizeof(float)) == 0;
    if (round % 16 == 15) communicator->retire(communicator->round());
  }
  const storage::Usage usage = meter->usage();
  return json{{"seconds", seconds},
              {"requests", usage.requests() - usage.remove.requests},
              {"bytes", usage.put.bytes + usage.get.bytes},
              {"bitwise_equal", equal}}
      .dump();
}

BenchCommResult bench_comm(const BenchCommOptions& options) {
  BenchCommEvent event;
  event.job_id = "bench-" + new_job_id();
  event.workers = options.workers;
  event.channel = storage::resolve(options.channel).text();
  event.sync_mode = comm::registry().get(options.sync_mode).name;
  event.values = (options.bytes + 3) / 4;
  event.rounds = options.rounds;
  const auto channel = open_channel(event.channel, event.job_id);
  const ChannelCleaner cleaner(*channel);
  std::vector<std::string> payloads;
  for (event.worker = 0; event.worker < event.workers; ++event.worker)
    payloads.push_back(to_json(event));

  const Platform platform("local", *channel);
  faas::Function function = platform.function();
  function.retries = 0;
  const std::unique_ptr<faas::Invocations> invocations =
      platform.invoke_all(function, std::move(payloads), {});
  const std::vector<std::string> reports = wait_for_all(*invocations);

  std::vector<double> slowest(options.rounds, 0.0);
  BenchCommResult result;
  result.bitwise_equal = true;
  for (const std::string& text : reports) {
    const json report = json::parse(text);
    const auto seconds = report.at("seconds").get<std::vector<double>>();
    for (std::size_t i = 0; i < slowest.size(); ++i)
      slowest[i] = std::max(slowest[i], seconds.at(i));
    result.requests += report.at("requests").get<double>() / static_cast<double>(options.rounds);
    result.bytes += report.at("bytes").get<double>() / static_cast<double>(options.rounds);
    result.bitwise_equal = result.bitwise_equal && report.at("bitwise_equal").get<bool>();
  }
  if (slowest.size() > 1) slowest.erase(slowest.begin());
  std::sort(slowest.begin(), slowest.end());
  result.median_s = slowest[slowest.size() / 2];
  result.min_s = slowest.front();
  result.max_s = slowest.back();
  return result;
}

}  // namespace lambdaml::train
