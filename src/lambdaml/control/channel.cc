#include "lambdaml/control/channel.h"

#include <fmt/core.h>

#include "lambdaml/base/error.h"

namespace lambdaml::control {

std::shared_ptr<storage::Storage> open_channel(const std::string& uri, const std::string& job_id,
                                               std::shared_ptr<storage::Meter> meter) {
  return storage::with_prefix(storage::open(uri, std::move(meter)), job_id + "/");
}

std::shared_ptr<storage::Storage> stoppable(std::shared_ptr<storage::Storage> channel,
                                            const faas::Invocation& invocation) {
  if (!invocation.cancelled) return channel;
  return storage::with_cancellation(std::move(channel), [cancelled = invocation.cancelled] {
    if (*cancelled) fail(Code::cancelled, "the job was stopped");
  });
}

std::shared_ptr<storage::Storage> channel_of_rounds(std::shared_ptr<storage::Storage> channel,
                                                    const faas::Invocation& invocation,
                                                    std::function<void()> check) {
  return storage::with_cancellation(stoppable(std::move(channel), invocation), std::move(check),
                                    {.first_s = 1, .longest_s = 2, .longest_where_expensive_s = 8});
}

namespace keys {

std::string started(std::uint32_t worker) { return fmt::format("started/{}", worker); }
std::string claim(std::uint32_t worker) { return fmt::format("tenure/{}", worker); }
std::string result(std::uint32_t worker) { return fmt::format("result/{}", worker); }
std::string quality(std::uint32_t worker) { return fmt::format("quality/{}", worker); }
std::string findings(std::uint32_t worker) { return fmt::format("findings/{}", worker); }
std::string acknowledged_stop(std::uint32_t worker) { return fmt::format("gone/{}", worker); }
std::string failure(std::uint32_t worker) { return fmt::format("failure/{}", worker); }
std::string worker_stats(std::uint32_t worker) { return fmt::format("figures/{}", worker); }
std::string log(const std::string& job_id, std::uint32_t worker) {
  return fmt::format("{}/log/worker-{}", job_id, worker);
}
std::string metrics(std::uint64_t epoch) { return fmt::format("metrics/{}", epoch); }

}  // namespace keys

}  // namespace lambdaml::control
