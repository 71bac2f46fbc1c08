#include <algorithm>

#include "lambdaml/comm/bulk_synchronous.h"
#include "lambdaml/comm/message.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/tensor/kernels.h"

/// Worker i merges chunk i: the same two PUT–GET pairs in sequence as `reduce`, but the bytes are
/// spread over all workers. P² PUTs and 2 P (P − 1) GETs a round; with C = min(P, n) chunks, if
/// that is less, C · P and 2 C (P − 1).
namespace lambdaml::comm::reduce_scatter {
namespace {

class ReduceScatter final : public BulkSynchronous {
 public:
  explicit ReduceScatter(Membership membership) : BulkSynchronous(std::move(membership)) {
    for (std::uint32_t i = 0; i < workers(); ++i)
      if (i != worker()) others_.push_back(i);
  }

 private:
  std::size_t sum_round(std::uint64_t round, Vectors v) override {
    const std::uint32_t chunks = chunk_count(v);
    const bool owner = worker() < chunks;
    const bool taken = catching_up() && take_all_there(round, v, chunks);
    if (!taken) {
      caught_up();
      contribute(round, v, chunks);
      sweep();
      if (owner) merge_own(round, v);
      take_others(round, v, chunks);
    }

    std::vector<std::string> mine;
    for (std::uint32_t c = 0; c < chunks; ++c)
      if (c != worker()) mine.push_back(contribution_chunk_key(round, worker(), c));
    std::vector<std::string> kept;
    if (owner) kept.push_back(merged_chunk_key(round, worker()));
    completed(round, std::move(mine), std::move(kept),
              v.totals.size_bytes() + v.values.size_bytes());
    return workers();
  }

  /// Chunks that are not empty; chunk 0 is there always, for the totals travel with it.
  std::uint32_t chunk_count(const Vectors& v) const {
    return static_cast<std::uint32_t>(std::clamp<std::size_t>(v.values.size(), 1, workers()));
  }

  static std::size_t begin_of(const Vectors& v, std::uint32_t c, std::uint32_t chunks) {
    const std::size_t n = v.values.size();
    return n / chunks * c + std::min<std::size_t>(c, n % chunks);
  }

  /// The part of the vectors that chunk c of `chunks` is.
  static Vectors part(const Vectors& v, std::uint32_t c, std::uint32_t chunks) {
    const std::size_t n = v.values.size();
    const std::size_t begin = begin_of(v, c, chunks);
    const std::size_t size = n / chunks + (c < n % chunks ? 1 : 0);
    return {v.values.subspan(begin, size), c == 0 ? v.totals : std::span<double>()};
  }

  void contribute(std::uint64_t round, const Vectors& v, std::uint32_t chunks) {
    std::vector<std::string> keys;
    std::vector<Buffer> messages;
    for (std::uint32_t c = 0; c < chunks; ++c) {
      if (c == worker()) continue;
      const Vectors chunk = part(v, c, chunks);
      keys.push_back(contribution_chunk_key(round, worker(), c));
      messages.push_back(encode(head(MessageHead::Kind::contribution, round, worker(), c),
                                chunk.totals, chunk.values, contribution(begin_of(v, c, chunks))));
    }
    std::vector<storage::Item> items;
    for (std::size_t i = 0; i < keys.size(); ++i) items.push_back({keys[i], messages[i]});
    store().save_all(items);
    for (std::size_t i = 0; i < keys.size(); ++i)
      keep(round, Role::contribution, keys[i], std::move(messages[i]));
  }

  /// Merges the chunk of this worker into `v` and saves it.
  void merge_own(std::uint64_t round, const Vectors& v) {
    const std::uint32_t c = worker();
    const Vectors own = part(v, c, chunk_count(v));
    const std::string merged = merged_chunk_key(round, c);
    const std::vector<std::string> keys = contribution_keys(round, c);
    const Arrived arrived = wait_for_contributions(round, keys, others_, merged);
    if (arrived.merged) {  // by another attempt, which is ahead
      take(round, c, *arrived.merged, own);
      catch_up();
      return;
    }
    std::vector<Message> messages;  // own what was packed
    std::vector<const double*> totals;
    std::vector<const float*> values;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      messages.push_back(decode(arrived.contributions[i], keys[i],
                                head(MessageHead::Kind::contribution, round, others_[i], c),
                                own.totals.size(), own.values.size()));
      totals.push_back(messages.back().totals.data());
      values.push_back(messages.back().values.data());
    }
    totals.insert(totals.begin() + c, own.totals.data());
    values.insert(values.begin() + c, own.values.data());
    Draft sum(own.totals.size(), own.values.size());
    tensor::sum_in_order(totals, sum.totals.size(), sum.totals.data());
    tensor::sum_in_order(values, sum.values.size(), sum.values.data());
    const std::span<const double> sum_totals = sum.totals;
    const std::span<const float> sum_values = sum.values;
    Buffer message =
        seal(sum, head(MessageHead::Kind::merged, round, c, c), begin_of(v, c, chunk_count(v)));
    std::ranges::copy(sum_totals, own.totals.begin());
    std::ranges::copy(sum_values, own.values.begin());
    store().save(merged, message);
    keep(round, Role::merged, merged, std::move(message));
  }

  void take_others(std::uint64_t round, const Vectors& v, std::uint32_t chunks) {
    std::vector<std::string> keys;
    std::vector<std::uint32_t> owners;
    for (std::uint32_t c = 0; c < chunks; ++c) {
      if (c == worker()) continue;
      keys.push_back(merged_chunk_key(round, c));
      owners.push_back(c);
    }
    const std::vector<Buffer> messages = wait_for_merged(round, keys, [&](std::size_t i) {
      const std::uint32_t c = owners[i];
      std::vector<std::uint32_t> senders;
      for (std::uint32_t j = 0; j < workers(); ++j)
        if (j != c) senders.push_back(j);
      std::vector<std::string> contributions;
      for (const std::uint32_t j : senders)
        contributions.push_back(contribution_chunk_key(round, j, c));
      return absent(contributions, senders, c);
    });
    for (std::size_t i = 0; i < owners.size(); ++i)
      take(round, owners[i], messages[i], part(v, owners[i], chunks));
  }

  /// Whether all merged chunks were there; `v` has changed only if so.
  bool take_all_there(std::uint64_t round, const Vectors& v, std::uint32_t chunks) {
    std::vector<Buffer> messages;
    for (std::uint32_t c = 0; c < chunks; ++c) {
      std::optional<Buffer> message = store().load(merged_chunk_key(round, c));
      if (!message) return false;
      messages.push_back(std::move(*message));
    }
    for (std::uint32_t c = 0; c < chunks; ++c) take(round, c, messages[c], part(v, c, chunks));
    return true;
  }

  void take(std::uint64_t round, std::uint32_t c, const Buffer& bytes, const Vectors& to) const {
    const Message message =
        decode(bytes, merged_chunk_key(round, c), head(MessageHead::Kind::merged, round, c, c),
               to.totals.size(), to.values.size());
    std::ranges::copy(message.totals, to.totals.begin());
    std::ranges::copy(message.values, to.values.begin());
  }

  MessageHead head(MessageHead::Kind kind, std::uint64_t round, std::uint32_t from,
                   std::uint32_t chunk) const {
    return {.kind = kind, .job = membership().job, .round = round, .worker = from, .chunk = chunk};
  }

  std::vector<std::string> contribution_keys(std::uint64_t round, std::uint32_t c) const {
    std::vector<std::string> keys;
    for (const std::uint32_t j : others_) keys.push_back(contribution_chunk_key(round, j, c));
    return keys;
  }

  std::vector<std::uint32_t> others_;
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "reduce_scatter",
                .help = "worker i merges chunk i of all vectors, all read all merged chunks",
                .make = [](Membership membership) {
                  return std::make_unique<ReduceScatter>(std::move(membership));
                }});
}

}  // namespace lambdaml::comm::reduce_scatter
