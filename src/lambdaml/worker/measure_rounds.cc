#include "lambdaml/worker/measure_rounds.h"

#include <algorithm>
#include <cstring>

#include <nlohmann/json.hpp>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/rng.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/control/channel.h"
#include "lambdaml/control/stores.h"
#include "lambdaml/control/worker_claim.h"
#include "lambdaml/cost/cost.h"

namespace lambdaml::worker {
namespace {

using nlohmann::json;

/// The contribution of worker `worker` in every round: floats of many magnitudes, so that a sum in
/// another order has different bits.
std::vector<float> contribution(std::uint32_t worker, std::uint64_t n) {
  Rng rng(mix({worker, n}));
  std::vector<float> values(n);
  for (float& value : values)
    value = static_cast<float>(rng.uniform(-1, 1) * static_cast<double>(1ULL << rng.below(20)));
  return values;
}

}  // namespace

std::string measure_rounds(const job::BenchCommEvent& event, const faas::Invocation& invocation) {
  const auto meter = std::make_shared<storage::Meter>();
  comm::Membership membership;
  control::Stores stores(control::Stores::Services::answered);
  // The claim's requests are not counted as those of rounds.
  control::WorkerClaim claim(stores.open_channel(event.channel, event.job_id), event.worker);
  claim.claim();
  membership.store =
      control::channel_of_rounds(stores.open_channel(event.channel, event.job_id, meter),
                                 invocation, [&claim] { claim.require_now_and_then(); });
  membership.job = checksum(as_bytes(event.job_id));
  membership.worker = event.worker;
  membership.workers = event.workers;
  membership.patience_s = event.patience_s;
  membership.deadline = invocation.deadline;
  // A single worker sends nothing to a store, from which it would only read it back; to a server it
  // does.
  membership.meets_alone = membership.store->aggregator() != nullptr;
  const auto communicator = comm::make_communicator(event.sync_mode, membership);

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
  return json_text(
      json{{"seconds", seconds},
           {"requests", usage.requests() - usage.remove.requests},
           {"bytes", usage.put.bytes + usage.get.bytes},
           {"usage", cost::to_json(cost::UsageByStore{{Uri::parse(event.channel).scheme, usage}})},
           {"bitwise_equal", equal}});
}

}  // namespace lambdaml::worker
