#include "lambdaml/comm/bulk_synchronous.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/tensor/kernels.h"

namespace lambdaml::comm::reduce_scatter {
namespace {

/// The vector is cut in P nearly equal chunks; worker i adds chunk i of every worker up in worker
/// order, and all read all merged chunks. Four sequential steps as in reduce, but every worker
/// receives only 2 (P − 1)/P vectors: the way for long ones. P² PUTs and 2 P (P − 1) GETs a round.
/// The totals travel with chunk 0; a chunk with nothing in it (fewer numbers than workers) is not
/// sent.
class ReduceScatter final : public BulkSynchronous {
 public:
  using BulkSynchronous::BulkSynchronous;

 private:
  using Kind = MessageHead::Kind;

  /// The part of the vectors that worker `chunk` merges.
  Vectors part(Vectors vectors, std::uint32_t chunk) const {
    const std::size_t n = vectors.values.size();
    const std::size_t begin = n / workers() * chunk + std::min<std::size_t>(chunk, n % workers());
    const std::size_t size = n / workers() + (chunk < n % workers() ? 1 : 0);
    return {vectors.values.subspan(begin, size),
            chunk == 0 ? vectors.totals : vectors.totals.subspan(0, 0)};
  }
  static bool has_any(const Vectors& part) { return !part.values.empty() || !part.totals.empty(); }

  void exchange(std::uint64_t round, Vectors vectors) override {
    std::vector<std::string> sent;
    std::uint64_t bytes = send_chunks(round, vectors, sent);
    const bool merged = merge_own(round, vectors) && collect(round, vectors);
    (void)merged;
    for (std::string& key : sent) retention().spent(std::move(key), bytes / sent.size());
  }

  std::uint64_t send_chunks(std::uint64_t round, Vectors vectors, std::vector<std::string>& keys) {
    std::vector<Buffer> messages;
    std::uint64_t bytes = 0;
    for (std::uint32_t chunk = 0; chunk < workers(); ++chunk) {
      const Vectors own = part(vectors, chunk);
      if (chunk == worker() || !has_any(own)) continue;
      keys.push_back(contribution_chunk_key(round, worker(), chunk));
      messages.push_back(
          encode(head(Kind::contribution, round, worker(), chunk), own.totals, own.values));
      bytes += messages.back().size();
    }
    std::vector<storage::Item> items;
    for (std::size_t i = 0; i < keys.size(); ++i) items.push_back({keys[i], messages[i]});
    store().save_all(items);
    return bytes;
  }

  /// Adds up and saves this worker's chunk. False when the whole round was taken from the store
  /// instead.
  bool merge_own(std::uint64_t round, Vectors vectors) {
    const Vectors own = part(vectors, worker());
    if (!has_any(own)) return true;
    std::vector<Expected> wanted;
    for (std::uint32_t other = 0; other < workers(); ++other)
      if (other != worker())
        wanted.push_back({contribution_chunk_key(round, other, worker()),
                          head(Kind::contribution, round, other, worker()), own.totals.size(),
                          own.values.size()});
    const std::vector<Buffer> others = wait_for(round, wanted, vectors);
    if (others.empty()) return false;
    std::vector<const float*> values;
    std::vector<const double*> totals;
    for (std::size_t i = 0; i <= others.size(); ++i) {
      if (i == worker()) {
        values.push_back(own.values.data());
        totals.push_back(own.totals.data());
      }
      if (i == others.size()) break;
      const Message message =
          decode(others[i], wanted[i].key, wanted[i].head, wanted[i].totals, wanted[i].values);
      values.push_back(message.values.data());
      totals.push_back(message.totals.data());
    }
    tensor::sum_in_order(values, own.values.size(), own.values.data());
    tensor::sum_in_order(totals, own.totals.size(), own.totals.data());
    const Buffer merged =
        encode(head(Kind::merged, round, worker(), worker()), own.totals, own.values);
    store().save(merged_chunk_key(round, worker()), merged);
    retention().merged(round, merged_chunk_key(round, worker()), merged.size());
    return true;
  }

  /// The merged chunks of the others.
  std::vector<Expected> results(std::uint64_t round, Vectors vectors) const {
    std::vector<Expected> out;
    for (std::uint32_t chunk = 0; chunk < workers(); ++chunk) {
      const Vectors its = part(vectors, chunk);
      if (chunk != worker() && has_any(its))
        out.push_back({merged_chunk_key(round, chunk), head(Kind::merged, round, chunk, chunk),
                       its.totals.size(), its.values.size()});
    }
    return out;
  }

  bool collect(std::uint64_t round, Vectors vectors) {
    const std::vector<Expected> wanted = results(round, vectors);
    const std::vector<Buffer> chunks = wait_for(round, wanted, vectors);
    take(wanted, chunks, vectors);
    return true;
  }

  void take(const std::vector<Expected>& wanted, const std::vector<Buffer>& chunks,
            Vectors vectors) const {
    for (std::size_t i = 0; i < chunks.size(); ++i) {
      const Expected& expected = wanted[i];
      const Vectors its = part(vectors, expected.head.chunk);
      copy_numbers(decode(chunks[i], expected.key, expected.head, expected.totals, expected.values),
                   its.totals, its.values);
    }
  }

  bool take_merged(std::uint64_t round, Vectors vectors) override {
    std::vector<Expected> wanted = results(round, vectors);
    const Vectors own = part(vectors, worker());
    if (has_any(own))
      wanted.push_back({merged_chunk_key(round, worker()),
                        head(Kind::merged, round, worker(), worker()), own.totals.size(),
                        own.values.size()});
    std::vector<Buffer> chunks;
    for (const Expected& expected : wanted) {
      std::optional<Buffer> chunk = store().load(expected.key);
      if (!chunk) return false;
      chunks.push_back(std::move(*chunk));
    }
    if (has_any(own))
      retention().merged(round, merged_chunk_key(round, worker()), chunks.back().size());
    take(wanted, chunks, vectors);
    return true;
  }
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "reduce_scatter",
                .help = "worker i merges the i-th part of all vectors",
                .make = [](Membership membership) {
                  return std::make_unique<ReduceScatter>(std::move(membership));
                }});
}

}  // namespace lambdaml::comm::reduce_scatter
