#include <algorithm>

#include "lambdaml/comm/bulk_synchronous.h"
#include "lambdaml/comm/message.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/tensor/kernels.h"

/// The pattern to read first: worker 0 merges. Two sequential PUT–GET pairs a round, P PUTs and
/// 2 (P − 1) GETs.
namespace lambdaml::comm::reduce {
namespace {

constexpr std::uint32_t kMerger = 0;

class Reduce final : public BulkSynchronous {
 public:
  explicit Reduce(Membership membership) : BulkSynchronous(std::move(membership)) {
    for (std::uint32_t i = 0; i < workers(); ++i)
      if (i != kMerger) senders_.push_back(i);
  }

 private:
  std::size_t sum_round(std::uint64_t round, Vectors v) override {
    const std::string merged = merged_key(round);
    std::optional<Buffer> result;
    if (catching_up() && !(result = store().load(merged))) caught_up();
    if (!result) result = worker() == kMerger ? merge_all(round, v) : contribute(round, v);
    if (result) take(round, *result, v);

    std::vector<std::string> mine;
    if (worker() != kMerger) mine.push_back(contribution_key(round, worker()));
    std::vector<std::string> kept;
    if (worker() == kMerger) kept.push_back(merged);
    completed(round, std::move(mine), std::move(kept),
              v.totals.size_bytes() + v.values.size_bytes());
    return workers();
  }

  /// The merged message of others, once it is there.
  std::optional<Buffer> contribute(std::uint64_t round, Vectors v) {
    const std::string key = contribution_key(round, worker());
    Buffer message = encode(head(MessageHead::Kind::contribution, round, worker()), v.totals,
                            v.values, contribution());
    store().save(key, message);
    keep(round, Role::contribution, key, std::move(message));
    sweep();
    return std::move(wait_for_merged(round, {merged_key(round)}, [&](std::size_t) {
                       return absent(contribution_keys(round), senders_, kMerger);
                     }).front());
  }

  /// Leaves the sum in `v`; or returns the merged message of another attempt.
  std::optional<Buffer> merge_all(std::uint64_t round, Vectors v) {
    const std::vector<std::string> keys = contribution_keys(round);
    Arrived arrived = wait_for_contributions(round, keys, senders_, merged_key(round));
    if (arrived.merged) {
      catch_up();
      return std::move(arrived.merged);
    }
    std::vector<Message> messages;  // own what was packed
    std::vector<const double*> totals = {v.totals.data()};
    std::vector<const float*> values = {v.values.data()};
    for (std::size_t i = 0; i < keys.size(); ++i) {
      messages.push_back(decode(arrived.contributions[i], keys[i],
                                head(MessageHead::Kind::contribution, round, senders_[i]),
                                v.totals.size(), v.values.size()));
      totals.push_back(messages.back().totals.data());
      values.push_back(messages.back().values.data());
    }
    Draft sum(v.totals.size(), v.values.size());
    tensor::sum_in_order(totals, sum.totals.size(), sum.totals.data());
    tensor::sum_in_order(values, sum.values.size(), sum.values.data());
    const std::span<const double> sum_totals = sum.totals;
    const std::span<const float> sum_values = sum.values;
    Buffer message = seal(sum, head(MessageHead::Kind::merged, round, kMerger));
    store().save(merged_key(round), message);
    // The others wait no longer: what follows is off the critical path.
    std::ranges::copy(sum_totals, v.totals.begin());
    std::ranges::copy(sum_values, v.values.begin());
    keep(round, Role::merged, merged_key(round), std::move(message));
    sweep();
    return {};
  }

  void take(std::uint64_t round, const Buffer& bytes, Vectors v) const {
    const Message message =
        decode(bytes, merged_key(round), head(MessageHead::Kind::merged, round, kMerger),
               v.totals.size(), v.values.size());
    std::ranges::copy(message.totals, v.totals.begin());
    std::ranges::copy(message.values, v.values.begin());
  }

  MessageHead head(MessageHead::Kind kind, std::uint64_t round, std::uint32_t from) const {
    return {.kind = kind, .job = membership().job, .round = round, .worker = from};
  }

  std::vector<std::string> contribution_keys(std::uint64_t round) const {
    std::vector<std::string> keys;
    for (const std::uint32_t sender : senders_) keys.push_back(contribution_key(round, sender));
    return keys;
  }

  std::vector<std::uint32_t> senders_;  ///< all but the merger
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "reduce",
                .help = "worker 0 merges all vectors, the others read the merged one",
                .make = [](Membership membership) {
                  return std::make_unique<Reduce>(std::move(membership));
                }});
}

}  // namespace lambdaml::comm::reduce
