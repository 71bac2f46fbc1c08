#include "lambdaml/train/channel.h"

#include <fmt/core.h>

#include "lambdaml/base/error.h"

namespace lambdaml::train {

std::shared_ptr<storage::Storage> open_store(const std::string& uri,
                                             std::shared_ptr<storage::Meter> meter) {
  std::shared_ptr<storage::Storage> store = storage::open(uri);
  if (meter) store = storage::with_meter(std::move(store), std::move(meter));
  store = storage::with_retry(std::move(store));
  const std::uint64_t limit = store->capabilities().max_value_bytes;
  if (limit != storage::Capabilities{}.max_value_bytes)
    store = storage::with_chunks(std::move(store));
  return store;
}

std::shared_ptr<storage::Storage> open_channel(const std::string& uri, const std::string& job_id,
                                               std::shared_ptr<storage::Meter> meter) {
  return storage::with_prefix(open_store(uri, std::move(meter)), job_id + "/");
}

std::shared_ptr<storage::Storage> stoppable(std::shared_ptr<storage::Storage> channel,
                                            const faas::Invocation& invocation) {
  if (!invocation.cancelled) return channel;
  return storage::with_cancellation(std::move(channel), [cancelled = invocation.cancelled] {
    if (*cancelled) fail(Code::cancelled, "the job was stopped");
  });
}

namespace keys {

std::string started(std::uint32_t worker) { return fmt::format("started/{}", worker); }
std::string result(std::uint32_t worker) { return fmt::format("result/{}", worker); }
std::string metrics(std::uint64_t epoch) { return fmt::format("metrics/{}", epoch); }

}  // namespace keys

}  // namespace lambdaml::train
