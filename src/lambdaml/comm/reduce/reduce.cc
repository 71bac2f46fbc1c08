#include "lambdaml/comm/bulk_synchronous.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/tensor/kernels.h"

namespace lambdaml::comm::reduce {
namespace {

/// Worker 0 adds all vectors up in worker order; the others read the result. Four sequential steps:
/// PUT, GET, PUT, GET. P PUTs and 2 (P − 1) GETs a round; worker 0 receives P − 1 vectors.
class Reduce final : public BulkSynchronous {
 public:
  using BulkSynchronous::BulkSynchronous;

 private:
  using Kind = MessageHead::Kind;

  void exchange(std::uint64_t round, Vectors vectors) override {
    if (worker() == 0)
      lead(round, vectors);
    else
      follow(round, vectors);
  }

  void lead(std::uint64_t round, Vectors vectors) {
    std::vector<Expected> wanted;
    for (std::uint32_t other = 1; other < workers(); ++other)
      wanted.push_back({contribution_key(round, other), head(Kind::contribution, round, other),
                        vectors.totals.size(), vectors.values.size()});
    const std::vector<Buffer> others = wait_for(round, wanted, vectors);
    if (others.empty()) return;
    std::vector<const float*> values{vectors.values.data()};
    std::vector<const double*> totals{vectors.totals.data()};
    for (std::size_t i = 0; i < others.size(); ++i) {
      const Message message =
          decode(others[i], wanted[i].key, wanted[i].head, wanted[i].totals, wanted[i].values);
      values.push_back(message.values.data());
      totals.push_back(message.totals.data());
    }
    tensor::sum_in_order(values, vectors.values.size(), vectors.values.data());
    tensor::sum_in_order(totals, vectors.totals.size(), vectors.totals.data());
    const Buffer merged = encode(head(Kind::merged, round, 0), vectors.totals, vectors.values);
    store().save(merged_key(round), merged);
    retention().merged(round, merged_key(round), merged.size());
  }

  void follow(std::uint64_t round, Vectors vectors) {
    const Buffer own =
        encode(head(Kind::contribution, round, worker()), vectors.totals, vectors.values);
    store().save(contribution_key(round, worker()), own);
    const std::vector<Buffer> merged = wait_for(round, {result(round, vectors)}, vectors);
    if (!merged.empty()) take(merged.front(), round, vectors);
    retention().spent(contribution_key(round, worker()), own.size());
  }

  Expected result(std::uint64_t round, Vectors vectors) const {
    return {merged_key(round), head(Kind::merged, round, 0), vectors.totals.size(),
            vectors.values.size()};
  }

  void take(const Buffer& bytes, std::uint64_t round, Vectors vectors) const {
    const Expected expected = result(round, vectors);
    copy_numbers(decode(bytes, expected.key, expected.head, expected.totals, expected.values),
                 vectors.totals, vectors.values);
  }

  bool take_merged(std::uint64_t round, Vectors vectors) override {
    const std::optional<Buffer> merged = store().load(merged_key(round));
    if (!merged) return false;
    take(*merged, round, vectors);
    if (worker() == 0) retention().merged(round, merged_key(round), merged->size());
    return true;
  }
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add(
      {.name = "reduce", .help = "worker 0 merges all vectors", .make = [](Membership membership) {
         return std::make_unique<Reduce>(std::move(membership));
       }});
}

}  // namespace lambdaml::comm::reduce
