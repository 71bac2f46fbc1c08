#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>

#include "lambdaml/base/option_sets.h"
#include "lambdaml/comm/communicator.h"
#include "lambdaml/comm/message.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/tensor/kernels.h"

/// The pattern that does not wait and loses no contribution.
///
/// *Increments.* Worker i keeps C_i, the sum of everything that it has contributed, and publishes
/// it under its own key, overwriting it at each merge; no other worker writes there. A merge reads
/// the newest C_j of all workers and returns Σ_j C_j − G, where G is what this worker received
/// before. The results telescope: after any number of merges their sum is Σ_j C_j as last read. A
/// C_j that is read twice adds nothing the second time; one that was missed is contained in the
/// next; and if worker j runs again from a checkpoint and publishes a C_j without its latest
/// contributions, the difference withdraws them, and the repeated ones replace them. finish()
/// publishes a final C_i that never changes and waits for those of all workers, so that all have
/// the same Σ_j C_j.
///
/// C_i and G are kept in double and published in float, so the next result corrects the rounding of
/// the previous one, and errors do not accumulate.
///
/// *States* need no sums: each worker's newest state replaces the one before.
///
/// A resumed job starts with an empty store. A worker that has finished publishes what it has
/// before it waits, because the others may still be running.
namespace lambdaml::comm::async {
namespace {

constexpr std::size_t kBlock = 1024;

/// The state for increments of one pair of sizes.
struct Stream {
  Stream(std::size_t n_totals, std::size_t n_values, std::size_t workers)
      : own_totals(n_totals),
        own_values(n_values),
        given_totals(n_totals),
        given_values(n_values),
        seen(workers) {}

  std::vector<double> own_totals, own_values;      ///< C_i
  std::vector<double> given_totals, given_values;  ///< G
  std::vector<std::uint64_t> seen;                 ///< contributions in the C_j last read
  std::uint64_t count = 0;                         ///< contributions in C_i
  bool checked = false;                            ///< whether an earlier attempt has finished
  bool closed = false;                             ///< it has: C_i is final
};

class Async final : public Communicator {
 public:
  explicit Async(Membership given)
      : Communicator(std::move(given)), form_(form_of(membership().options.text("compress"))) {}

  /// For each stream: sizes, count, seen, C_i, G.
  std::vector<double> snapshot() const override {
    std::vector<double> out;
    const auto append = [&](const auto& numbers) {
      out.insert(out.end(), numbers.begin(), numbers.end());
    };
    for (const auto& [sizes, stream] : streams_) {
      append(std::array{static_cast<double>(sizes.first), static_cast<double>(sizes.second),
                        static_cast<double>(stream.count)});
      append(stream.seen);
      append(stream.own_totals);
      append(stream.own_values);
      append(stream.given_totals);
      append(stream.given_values);
    }
    return out;
  }

  void restore(std::span<const double> snapshot) override {
    std::map<Sizes, Stream> streams;
    const auto check = [](bool fits) {
      if (!fits) fail(Code::data_corrupt, "a checkpoint's sums of the async pattern do not add up");
    };
    const auto count_of = [&](double number) {
      check(number >= 0 && number <= 0x1p53);
      return static_cast<std::uint64_t>(number);
    };
    while (!snapshot.empty()) {
      check(snapshot.size() >= 3 + workers());
      const Sizes sizes{count_of(snapshot[0]), count_of(snapshot[1])};
      const std::uint64_t count = count_of(snapshot[2]);
      snapshot = snapshot.subspan(3);
      check(sizes.first <= snapshot.size() && sizes.second <= snapshot.size() &&
            workers() + 2 * (sizes.first + sizes.second) <= snapshot.size());
      Stream stream(sizes.first, sizes.second, workers());
      stream.count = count;
      for (std::uint64_t& seen : stream.seen) {
        seen = count_of(snapshot.front());
        snapshot = snapshot.subspan(1);
      }
      for (std::vector<double>* numbers :
           {&stream.own_totals, &stream.own_values, &stream.given_totals, &stream.given_values}) {
        std::copy_n(snapshot.begin(), numbers->size(), numbers->begin());
        snapshot = snapshot.subspan(numbers->size());
      }
      streams.insert_or_assign(sizes, std::move(stream));
    }
    streams_ = std::move(streams);
    restored_ = true;
  }

 private:
  using Sizes = std::pair<std::size_t, std::size_t>;  ///< doubles, floats
  struct Published {
    Buffer bytes;
    Message message;
    Buffer numbers = {};  ///< of this worker's message, if its bytes are packed
  };

  std::size_t merge_round(std::uint64_t round, Vectors v, Meaning meaning) override {
    return meaning == Meaning::state ? merge_states(round, v) : merge_increments(v);
  }

  std::size_t merge_increments(Vectors v) {
    const Sizes sizes{v.totals.size(), v.values.size()};
    Stream& stream = stream_of(sizes);
    if (stream.closed) {  // these contributions were made by the attempt that finished
      std::ranges::fill(v.totals, 0.0);
      std::ranges::fill(v.values, 0.0F);
    } else {
      add(stream.own_totals, v.totals);
      add(stream.own_values, v.values);
      ++stream.count;
    }
    const Published own = own_sum(stream, MessageHead::Kind::cumulative, false);
    if (!stream.closed) publish(sizes, own);

    bool gone = false;
    const std::vector<std::optional<Published>> latest =
        newest_of_others(MessageHead::Kind::cumulative, sizes);
    std::vector<const Message*> sums(workers(), nullptr);
    for (std::uint32_t j = 0; j < workers(); ++j) {
      if (j == worker())
        sums[j] = &own.message;
      else if (latest[j])
        sums[j] = &latest[j]->message;
      else
        gone |= stream.seen[j] > 0;
    }
    if (!gone) return give(stream, sums, v);
    // Sums that were read before are missing now: the job restarted with an empty store, and some
    // workers have not published yet. G contains their sums, so Σ C_j − G would withdraw them.
    // Until they are published again, return only this worker's contribution.
    add(stream.given_totals, v.totals);
    add(stream.given_values, v.values);
    const std::uint64_t before = std::exchange(stream.seen[worker()], stream.count);
    return stream.count > before ? stream.count - before : 0;
  }

  std::size_t finish_rounds(Vectors v, Meaning meaning) override {
    if (restored_)
      for (const auto& [sizes, stream] : streams_)
        if (!stream.closed) publish(sizes, own_sum(stream, MessageHead::Kind::cumulative, false));
    if (meaning == Meaning::increment) return finish_increments(v);
    publish_state(round(), v);
    finish_increments({});
    return merge_states(round(), v);
  }

  std::size_t finish_increments(Vectors v) {
    const Sizes sizes{v.totals.size(), v.values.size()};
    Stream& stream = stream_of(sizes);
    // The first attempt that finishes determines this worker's contribution.
    if (!stream.closed &&
        !store().create(final_name(worker(), sizes),
                        own_sum(stream, MessageHead::Kind::cumulative, true).bytes))
      adopt_final(stream, sizes);
    stream.closed = true;

    std::vector<std::string> keys;
    std::vector<std::uint32_t> others;
    for (std::uint32_t j = 0; j < workers(); ++j) {
      if (j == worker()) continue;
      keys.push_back(final_name(j, sizes));
      others.push_back(j);
    }
    std::vector<Buffer> bytes;
    try {
      bytes = store().load_all(keys, wait_deadline());
    } catch (const storage::MissingKeys& missing) {
      std::vector<std::uint32_t> silent;
      for (std::size_t i = 0; i < keys.size(); ++i)
        if (std::ranges::find(missing.keys(), keys[i]) != missing.keys().end())
          silent.push_back(others[i]);
      fail_silent("the end of training", silent);
    }
    const Published own = own_sum(stream, MessageHead::Kind::cumulative, true);
    std::vector<Message> messages;
    for (std::size_t i = 0; i < keys.size(); ++i)
      messages.push_back(
          decode_of(bytes[i], keys[i], MessageHead::Kind::cumulative, others[i], true, sizes));
    std::vector<const Message*> sums(workers(), nullptr);
    sums[worker()] = &own.message;
    for (std::size_t i = 0; i < others.size(); ++i) sums[others[i]] = &messages[i];
    return give(stream, sums, v);
  }

  std::string latest_name(MessageHead::Kind kind, std::uint32_t of, const Sizes& sizes) const {
    return placed(latest_key(kind, of, sizes.first, sizes.second), bytes_of(sizes));
  }
  std::string final_name(std::uint32_t of, const Sizes& sizes) const {
    return placed(final_key(of, sizes.first, sizes.second), bytes_of(sizes));
  }
  static std::size_t bytes_of(const Sizes& sizes) {
    return sizes.first * sizeof(double) + sizes.second * sizeof(float);
  }

  void publish(const Sizes& sizes, const Published& sum) {
    store().save(latest_name(sum.message.head.kind, worker(), sizes), sum.bytes);
  }

  void publish_state(std::uint64_t round, Vectors v) {
    const MessageHead head{.kind = MessageHead::Kind::state,
                           .job = membership().job,
                           .round = round + 1,
                           .worker = worker()};
    store().save(latest_name(head.kind, worker(), {v.totals.size(), v.values.size()}),
                 encode(head, v.totals, v.values));
  }

  std::size_t merge_states(std::uint64_t round, Vectors v) {
    publish_state(round, v);
    const std::vector<std::optional<Published>> latest =
        newest_of_others(MessageHead::Kind::state, {v.totals.size(), v.values.size()});
    std::vector<const double*> totals;
    std::vector<const float*> values;
    for (std::uint32_t j = 0; j < workers(); ++j) {
      if (j == worker()) {
        totals.push_back(v.totals.data());
        values.push_back(v.values.data());
      } else if (latest[j]) {
        totals.push_back(latest[j]->message.totals.data());
        values.push_back(latest[j]->message.values.data());
      }
    }
    tensor::sum_in_order(totals, v.totals.size(), v.totals.data());
    tensor::sum_in_order(values, v.values.size(), v.values.data());
    return totals.size();
  }

  Stream& stream_of(const Sizes& sizes) {
    Stream& stream =
        streams_.try_emplace(sizes, sizes.first, sizes.second, workers()).first->second;
    if (catching_up() && !stream.checked) {
      stream.checked = true;
      if (store().load(final_name(worker(), sizes))) adopt_final(stream, sizes);
    }
    return stream;
  }

  /// Adopts the contributions of an attempt of this worker that has already finished.
  void adopt_final(Stream& stream, const Sizes& sizes) {
    const std::string key = final_name(worker(), sizes);
    const Buffer bytes = store().load_or_wait(key, wait_deadline());
    const Message message =
        decode_of(bytes, key, MessageHead::Kind::cumulative, worker(), true, sizes);
    std::ranges::copy(message.totals, stream.own_totals.begin());
    std::ranges::copy(message.values, stream.own_values.begin());
    stream.count = message.head.round;
    stream.closed = true;
  }

  Published own_sum(const Stream& stream, MessageHead::Kind kind, bool last) const {
    const MessageHead head{.kind = kind,
                           .job = membership().job,
                           .round = stream.count,
                           .worker = worker(),
                           .last = last};
    MessageBuilder builder(stream.own_totals.size(), stream.own_values.size());
    std::ranges::copy(stream.own_totals, builder.totals.begin());
    std::ranges::transform(stream.own_values, builder.values.begin(),
                           [](double x) { return static_cast<float>(x); });
    Published out;
    out.message.head = head;
    out.message.totals = builder.totals;
    out.message.values = builder.values;
    // Sums are rounded anew each time, so what one message cannot carry is in the next; the final
    // one is exact.
    const Form form = form_;
    if (last || form == Form::f32 || !all_finite(builder.values)) {
      out.bytes = builder.finish(head);
    } else {
      round_to(form, builder.values, 0);
      out.bytes = encode(head, builder.totals, builder.values, {form, 0});
      out.numbers = std::move(builder.bytes);
    }
    return out;
  }

  /// What the others have published, by worker; nullopt if nothing yet. One batch.
  std::vector<std::optional<Published>> newest_of_others(MessageHead::Kind kind,
                                                         const Sizes& sizes) {
    std::vector<std::string> keys;
    std::vector<std::uint32_t> others;
    for (std::uint32_t j = 0; j < workers(); ++j) {
      if (j == worker()) continue;
      keys.push_back(latest_name(kind, j, sizes));
      others.push_back(j);
    }
    std::vector<std::optional<Buffer>> found = store().load_present(keys);
    std::vector<std::optional<Published>> out(workers());
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (!found[i]) continue;
      const Message message = decode_of(*found[i], keys[i], kind, others[i], false, sizes);
      out[others[i]] = Published{std::move(*found[i]), message};
    }
    return out;
  }

  /// decode() of a message with any count.
  Message decode_of(const Buffer& bytes, const std::string& key, MessageHead::Kind kind,
                    std::uint32_t from, bool last, const Sizes& sizes) const {
    Message message = decode(bytes, key);
    expect(message, key,
           {.kind = kind,
            .job = membership().job,
            .round = message.head.round,
            .worker = from,
            .last = last},
           sizes.first, sizes.second);
    return message;
  }

  /// v = Σ sums − G; G += v. Returns the number of new contributions.
  static std::size_t give(Stream& stream, const std::vector<const Message*>& sums, Vectors v) {
    std::size_t fresh = 0;
    std::vector<const double*> totals;
    std::vector<const float*> values;
    for (std::size_t j = 0; j < sums.size(); ++j) {
      if (sums[j] == nullptr) continue;
      totals.push_back(sums[j]->totals.data());
      values.push_back(sums[j]->values.data());
      const std::uint64_t count = sums[j]->head.round;
      if (count > stream.seen[j]) fresh += count - stream.seen[j];
      stream.seen[j] = count;
    }
    give(totals, v.totals, stream.given_totals);
    give(values, v.values, stream.given_values);
    return fresh;
  }

  template <class T>
  static void give(const std::vector<const T*>& sums, std::span<T> out,
                   std::vector<double>& given) {
    std::array<double, kBlock> total{};
    for (std::size_t begin = 0; begin < out.size(); begin += kBlock) {
      const std::size_t n = std::min(kBlock, out.size() - begin);
      std::fill_n(total.begin(), n, 0.0);
      for (const T* sum : sums)
        for (std::size_t i = 0; i < n; ++i) total[i] += static_cast<double>(sum[begin + i]);
      for (std::size_t i = 0; i < n; ++i) {
        out[begin + i] = static_cast<T>(total[i] - given[begin + i]);
        given[begin + i] += static_cast<double>(out[begin + i]);
      }
    }
  }

  template <class T>
  static void add(std::vector<double>& to, std::span<const T> from) {
    for (std::size_t i = 0; i < from.size(); ++i) to[i] += static_cast<double>(from[i]);
  }
  template <class T>
  static void add(std::vector<double>& to, std::span<T> from) {
    add(to, std::span<const T>(from));
  }

  static Form form_of(const std::string& compress) {
    const Compression compression = compression_from(compress);
    return compression == Compression::bf16   ? Form::bf16
           : compression == Compression::int8 ? Form::int8
                                              : Form::f32;
  }

  const Form form_;  ///< of published sums
  std::map<Sizes, Stream> streams_;
  bool restored_ = false;  ///< the store may lack what an earlier process has published
};

std::vector<Option> options() {
  std::vector<Option> all = compression_options();
  add_options(all, {{.name = "staleness",
                     .default_value = std::int64_t{-1},
                     .help = "async where the channel adds up itself: merges that a worker may be "
                             "ahead of the slowest; -1: any number",
                     .minimum = -1,
                     .maximum = 1e9}});
  return all;
}

void check(const Demand& demand) {
  require_increments(demand.options, demand.optimizer, demand.merges_increments);
  if (demand.options.text("compress") == "topk")
    fail(Code::invalid_argument,
         "compress topk: async publishes sums of many updates, which are not sparse; use bf16 or "
         "int8");
  if (is_changed(demand.options, "staleness") && demand.open_channel()->aggregator() == nullptr)
    fail(Code::invalid_argument,
         "staleness bounds how far workers that do not wait may get apart: it needs a channel that "
         "adds up itself, as a parameter server does");
}

}  // namespace

void register_plugin(Registry& registry) {
  registry.add(
      {.name = "async",
       .help = "no worker waits: each reads what the others have published so far",
       .bulk_synchronous = false,
       .creates = true,
       .make = [](Membership membership) { return std::make_unique<Async>(std::move(membership)); },
       // The messages of all workers, and C_i and G in double.
       .bytes_needed = [](const MergeSizes& sizes) -> std::uint64_t {
         if (sizes.workers <= 1) return 0;
         const std::uint64_t forms = is_changed(sizes.options, "compress") ? 2 : 1;
         return sizes.bytes() * sizes.workers * forms +
                (sizes.values + sizes.totals) * 2 * sizeof(double);
       },
       .options = options(),
       .check = check});
}

}  // namespace lambdaml::comm::async
