#include <algorithm>

#include "lambdaml/comm/bulk_synchronous.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/tensor/kernels.h"

/// A pattern of one step: each worker reads the contributions of all others and adds them up
/// itself, in worker order. P PUTs and P (P − 1) GETs a round.
namespace lambdaml::comm::gather {
namespace {

class Gather final : public BulkSynchronous {
 public:
  explicit Gather(Membership membership) : BulkSynchronous(std::move(membership)) {}

 private:
  std::size_t sum_round(std::uint64_t number, Vectors v) override {
    std::vector<std::string> keys;
    for (std::uint32_t w = 0; w < workers(); ++w) keys.push_back(contribution_key(number, w));
    if (!catching_up() || !take_if_all_there(number, v, keys)) {
      caught_up();
      Buffer own = encode(head(number, worker()), v.totals, v.values, contribution());
      store().save(keys[worker()], own);
      keep(number, Role::merged, keys[worker()], std::move(own));
      collect_garbage();
      add_up(number, v, wait_for_others(number, keys));
    }
    // A worker that comes back needs them: they go when all have a later checkpoint.
    completed(number, {}, {keys[worker()]}, v.totals.size_bytes() + v.values.size_bytes());
    return workers();
  }

  MessageHead head(std::uint64_t number, std::uint32_t from) const {
    return {.job = membership().job, .round = number, .worker = from};
  }

  /// Those of all workers; this worker's own is empty.
  std::vector<Buffer> wait_for_others(std::uint64_t number, std::vector<std::string> keys) {
    keys.erase(keys.begin() + worker());
    std::vector<Buffer> values(workers());
    storage::Wait wait = wait_for(keys);
    try {
      while (std::optional<storage::Arrival> arrival = wait.next()) {
        const std::size_t from = arrival->index + (arrival->index >= worker() ? 1 : 0);
        values[from] = std::move(arrival->value);
      }
    } catch (const storage::MissingKeys& missing) {
      std::vector<std::uint32_t> silent;
      for (std::uint32_t i = 0; i < keys.size(); ++i)
        if (std::ranges::find(missing.keys(), keys[i]) != missing.keys().end())
          silent.push_back(i + (i >= worker() ? 1 : 0));
      fail_silent("round " + std::to_string(number), silent);
    }
    return values;
  }

  bool take_if_all_there(std::uint64_t number, Vectors v, const std::vector<std::string>& keys) {
    std::vector<Buffer> values;
    for (std::optional<Buffer>& value : store().load_present(keys)) {
      if (!value) return false;
      values.push_back(std::move(*value));
    }
    add_up(number, v, values);
    return true;
  }

  /// An empty value stands for this worker's own numbers.
  void add_up(std::uint64_t number, Vectors v, const std::vector<Buffer>& values) const {
    std::vector<Message> messages;
    for (std::uint32_t w = 0; w < workers(); ++w) {
      messages.push_back(values[w].empty()
                             ? Message{.head = {}, .totals = v.totals, .values = v.values}
                             : decode(values[w], contribution_key(number, w), head(number, w),
                                      v.totals.size(), v.values.size()));
    }
    std::vector<const double*> totals;
    std::vector<const float*> floats;
    for (const Message& message : messages) {
      totals.push_back(message.totals.data());
      floats.push_back(message.values.data());
    }
    MessageBuilder sum(v.totals.size(), v.values.size());
    tensor::sum_in_order(totals, v.totals.size(), sum.totals.data());
    tensor::sum_in_order(floats, v.values.size(), sum.values.data());
    // Rounds the numbers as the message of a merged result would carry them.
    const std::span<double> summed_totals = sum.totals;
    const std::span<float> summed_values = sum.values;
    const Buffer message = encode_sum(sum, head(number, worker()));
    std::ranges::copy(summed_totals, v.totals.begin());
    std::ranges::copy(summed_values, v.values.begin());
  }
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add(
      {.name = "gather",
       .help = "every worker reads the vectors of all others and adds them up",
       .make =
           [](Membership membership) { return std::make_unique<Gather>(std::move(membership)); },
       .bytes_needed =
           [](const MergeSizes& sizes) {
             return std::uint64_t{sizes.workers} * sizes.values * sizeof(float) *
                    (sizes.options.text("compress") == "none" ? 1 : 2);
           },
       .options = compression_options()});
}

}  // namespace lambdaml::comm::gather
