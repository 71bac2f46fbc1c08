#include "lambdaml/comm/bulk_synchronous.h"

#include <algorithm>
#include <cstring>
#include <set>

#include <fmt/format.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"

namespace lambdaml::comm {
namespace {

/// How long a wait goes before it looks whether it is in vain.
constexpr double kSliceSeconds = 2;

}  // namespace

BulkSynchronous::BulkSynchronous(Membership membership)
    : Communicator(std::move(membership)), retention_(this->membership().store) {}

std::size_t BulkSynchronous::merge_round(std::uint64_t round, Vectors vectors, Meaning) {
  if (workers() == 1) return 1;
  if (catching_up()) {
    if (take_merged(round, vectors)) {
      retention_.completed(round);
      return workers();
    }
    caught_up();
  }
  exchange(round, vectors);
  retention_.completed(round);
  return workers();
}

MessageHead BulkSynchronous::head(MessageHead::Kind kind, std::uint64_t round, std::uint32_t worker,
                                  std::uint32_t chunk) const {
  return {.kind = kind, .job = membership().job, .round = round, .worker = worker, .chunk = chunk};
}

std::vector<Buffer> BulkSynchronous::wait_for(std::uint64_t round,
                                              const std::vector<Expected>& wanted,
                                              Vectors vectors) {
  std::vector<std::string> keys;
  for (const Expected& expected : wanted) keys.push_back(expected.key);
  const Deadline deadline = wait_deadline();
  const Stopwatch clock;
  while (true) {
    try {
      return store().load_all(keys, Deadline::in(kSliceSeconds).earlier(deadline));
    } catch (const Error& error) {
      if (error.code() != Code::deadline_exceeded) throw;
    }
    if (take_merged(round, vectors)) return {};
    if (!deadline.passed()) continue;
    std::set<std::uint32_t> silent;
    for (const Expected& expected : wanted)
      if (!store().load(expected.key)) silent.insert(expected.head.worker);
    fail(Code::deadline_exceeded, "round {}: no word from {} {} within {}", round,
         silent.size() == 1 ? "worker" : "workers", fmt::join(silent, ", "),
         human_seconds(clock.seconds()));
  }
}

void copy_numbers(const Message& message, std::span<double> totals, std::span<float> values) {
  if (!totals.empty()) std::memcpy(totals.data(), message.totals.data(), totals.size_bytes());
  if (!values.empty()) std::memcpy(values.data(), message.values.data(), values.size_bytes());
}

}  // namespace lambdaml::comm
