#include <algorithm>
#include <deque>
#include <exception>
#include <functional>
#include <future>
#include <memory>

#include "lambdaml/base/option_sets.h"
#include "lambdaml/comm/bulk_synchronous.h"
#include "lambdaml/comm/message.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/tensor/kernels.h"

/// The pattern to read first: all workers wait for all, and K of them are aggregators.
///
/// The vector is cut into chunks. Chunk c is merged by one worker, the aggregator c mod K, in
/// worker order; so the result is bitwise the same for every K. A round is two PUT–GET pairs in
/// sequence: each worker saves its contribution to every chunk that another worker merges, the
/// aggregators merge and save their chunks, and all workers read all merged chunks. With C chunks
/// that makes C · P PUTs and 2 C (P − 1) GETs.
///
/// `reduce` is K = 1: for small vectors and stores that bill requests. `reduce_scatter` is K = P:
/// the bytes are spread over all workers. There are K chunks, or as many as there are numbers if
/// that is fewer. An aggregator with a large chunk gets several smaller ones instead, so that it
/// merges and saves one while it downloads the next (kOverlapBytes, kPieceBytes): the critical path
/// is then one transfer of the bytes over one connection, not three.
///
/// In merge_and_step() an aggregator replaces the sum of its chunk by what it makes of it, and
/// saves the sum for itself: C more PUTs, which nobody waits for.
///
/// An aggregator holds its chunk's sum and about kWindowBytes of contributions, which it adds as
/// they arrive; bytes_needed() gives the total.
namespace lambdaml::comm::bulk {
namespace {

/// Chunks of more bytes are cut into pieces of about kPieceBytes, up to a maximum number.
constexpr std::size_t kOverlapBytes = 8 << 20;
constexpr std::size_t kPieceBytes = 4 << 20;
constexpr std::size_t kMostPieces = 8;
/// Contributions that an aggregator loads ahead of the next one it needs.
constexpr std::size_t kWindowBytes = 64 << 20;
/// Merged chunks that are being saved at the same time.
constexpr std::size_t kSavesAtOnce = 2;

/// How a vector of n numbers is cut for K aggregators.
class Cut {
 public:
  Cut(std::size_t n, std::uint32_t aggregators, bool cuts_large_chunks = true) : n_(n) {
    const auto base = static_cast<std::uint32_t>(std::clamp<std::size_t>(n, 1, aggregators));
    const std::size_t bytes = n / base * sizeof(float);
    const std::size_t pieces = bytes <= kOverlapBytes || !cuts_large_chunks
                                   ? 1
                                   : std::min((bytes + kPieceBytes - 1) / kPieceBytes, kMostPieces);
    aggregators_ = base;
    chunks_ = base * static_cast<std::uint32_t>(pieces);
  }

  std::uint32_t chunks() const { return chunks_; }
  std::uint32_t aggregators() const { return aggregators_; }
  std::uint32_t aggregator_of(std::uint32_t c) const { return c % aggregators_; }
  std::size_t begin_of(std::uint32_t c) const {
    return n_ / chunks_ * c + std::min<std::size_t>(c, n_ % chunks_);
  }
  std::size_t size_of(std::uint32_t c) const { return n_ / chunks_ + (c < n_ % chunks_ ? 1 : 0); }
  /// The totals travel with chunk 0.
  Vectors part(const Vectors& v, std::uint32_t c) const {
    return {v.values.subspan(begin_of(c), size_of(c)), c == 0 ? v.totals : std::span<double>()};
  }
  /// How many messages of the largest chunk fit the window.
  std::size_t window() const {
    return std::max<std::size_t>(2, kWindowBytes / (size_of(0) * sizeof(float) + 64));
  }

 private:
  std::size_t n_;
  std::uint32_t aggregators_ = 1;
  std::uint32_t chunks_ = 1;
};

/// The sum of one chunk, to which contributions are added in worker order.
class ChunkSum : public std::enable_shared_from_this<ChunkSum> {
 public:
  ChunkSum(Vectors own, std::uint32_t worker)
      : own_(own),
        worker_(worker),
        sum_(own.totals.size(), own.values.size()),
        totals_(sum_.totals),
        values_(sum_.values) {}

  /// The next contributions; this worker's own is added at its place in the order.
  void add(const std::vector<Message>& contributions) {
    std::vector<const double*> totals;
    std::vector<const float*> values;
    if (next_ > 0) {
      totals.push_back(totals_.data());
      values.push_back(values_.data());
    }
    const auto add_own = [&] {
      if (next_ != worker_) return;
      totals.push_back(own_.totals.data());
      values.push_back(own_.values.data());
      ++next_;
    };
    for (const Message& message : contributions) {
      add_own();
      totals.push_back(message.totals.data());
      values.push_back(message.values.data());
      ++next_;
    }
    add_own();
    tensor::sum_in_order(totals, totals_.size(), totals_.data());
    tensor::sum_in_order(values, values_.size(), values_.data());
  }
  /// The sum, for encode_sum(); its numbers stay valid for replace_own().
  MessageBuilder& builder() { return sum_; }
  std::span<const double> totals() const { return totals_; }
  std::span<const float> values() const { return values_; }
  void replace_own() const {
    std::ranges::copy(totals_, own_.totals.begin());
    std::ranges::copy(values_, own_.values.begin());
  }

 private:
  Vectors own_;
  std::uint32_t worker_;
  std::uint32_t next_ = 0;  ///< the worker whose contribution is added next
  MessageBuilder sum_;
  std::span<double> totals_;  ///< of the builder, also after it was encoded
  std::span<float> values_;
};

class Bulk final : public BulkSynchronous {
 public:
  Bulk(Membership membership, std::uint32_t aggregators)
      : BulkSynchronous(std::move(membership)),
        aggregators_(std::clamp<std::uint32_t>(aggregators, 1, workers())) {
    for (std::uint32_t i = 0; i < workers(); ++i)
      if (i != worker()) others_.push_back(i);
  }

  bool can_step() const override { return true; }
  std::vector<Range> owned(std::size_t size) const override {
    if (meets_nobody()) return {{0, size}};
    const Cut cut(size, aggregators_, membership().cuts_large_chunks);
    std::vector<Range> out;
    for (std::uint32_t c = worker(); c < cut.chunks() && worker() < cut.aggregators();
         c += cut.aggregators())
      if (cut.size_of(c) > 0) out.emplace_back(cut.begin_of(c), cut.begin_of(c) + cut.size_of(c));
    return out;
  }

 private:
  /// A round in progress.
  struct Round {
    std::uint64_t number;
    Vectors v;
    Cut cut;
  };

  /// What becomes of the sums of a round's chunks. Its functions may be called by several threads
  /// at once, for different chunks.
  struct Fate {
    /// The key that exists once another attempt has got as far.
    std::function<std::string(std::uint32_t chunk)> key;
    /// Does what is to be done with a complete sum.
    std::function<void(std::uint32_t chunk, ChunkSum& sum)> use;
    /// The same with what another attempt has saved under the key.
    std::function<void(std::uint32_t chunk, Buffer bytes)> take;
  };

  /// The sum of a chunk that is to be stepped.
  struct Summed {
    std::shared_ptr<ChunkSum> sum;  ///< whose numbers lie in the message, unless it was taken
    Buffer message;
    Message taken;  ///< a view of the message
    std::span<const double> totals() const { return sum ? sum->totals() : taken.totals; }
    std::span<const float> values() const { return sum ? sum->values() : taken.values; }
  };

  std::size_t sum_round(std::uint64_t number, Vectors v) override {
    const Round round{number, v,
                      Cut(v.values.size(), aggregators_, membership().cuts_large_chunks)};
    const std::vector<std::uint32_t> own = chunks_of(round, true);
    const std::vector<std::uint32_t> foreign = chunks_of(round, false);
    if (!catching_up() || !take_if_all_there(round)) {
      caught_up();
      contribute(round, foreign);
      if (!foreign.empty()) collect_garbage();
      merge(round, own,
            {[&](std::uint32_t c) { return merged_name(round, c); },
             [&](std::uint32_t c, ChunkSum& sum) { publish_sum(round, c, sum); },
             [&](std::uint32_t c, const Buffer& bytes) { take(round, c, bytes); }});
      if (foreign.empty()) collect_garbage();  // the others wait no longer
      take_merged(round, foreign);
    }
    std::vector<std::string> mine;
    for (const std::uint32_t c : foreign) mine.push_back(contribution_name(round, worker(), c));
    std::vector<std::string> kept;
    for (const std::uint32_t c : own) kept.push_back(merged_name(round, c));
    completed(number, std::move(mine), std::move(kept),
              v.totals.size_bytes() + v.values.size_bytes());
    return workers();
  }

  std::size_t sum_and_step(std::uint64_t number, Vectors v, ChunkStep& step) override {
    const Round round{number, v,
                      Cut(v.values.size(), aggregators_, membership().cuts_large_chunks)};
    const std::vector<std::uint32_t> own = chunks_of(round, true);
    const std::vector<std::uint32_t> foreign = chunks_of(round, false);
    open_steps(number);
    const bool is_over = catching_up() && are_merged(round);
    if (!is_over) {
      caught_up();
      contribute(round, foreign);
      if (!foreign.empty()) collect_garbage();
      finish_saving_sums();
    }
    std::vector<Summed> sums = sum_and_keep(round, own, step, !is_over);
    if (step.scalar_count() > 0) {
      std::vector<double> scalars(step.scalar_count());
      for (std::size_t i = 0; i < own.size(); ++i)
        step.measure(round.cut.begin_of(own[i]), sums[i].values(), scalars);
      sum_round(number + 1, {{}, scalars});
      step.begin(scalars);
      for (std::size_t i = 0; i < own.size(); ++i)
        step_and_publish(round, own[i], sums[i], step, !is_over);
    }
    save_sums(round, own, std::move(sums));
    if (foreign.empty() && !is_over) collect_garbage();
    take_merged(round, foreign);
    std::vector<std::string> mine, kept;
    for (const std::uint32_t c : foreign) mine.push_back(contribution_name(round, worker(), c));
    for (const std::uint32_t c : own)
      kept.insert(kept.end(), {merged_name(round, c), sum_key(number, c)});
    completed_steps(number, std::move(mine), std::move(kept),
                    v.totals.size_bytes() + v.values.size_bytes() * 2);
    return workers();
  }

  /// The sums of this worker's chunks. Without scalars, each is stepped and published at once.
  std::vector<Summed> sum_and_keep(const Round& round, const std::vector<std::uint32_t>& own,
                                   ChunkStep& step, bool publishes) {
    std::vector<Summed> sums(own.size());
    const bool has_scalars = step.scalar_count() > 0;
    if (!has_scalars) step.begin({});
    const auto go_on = [&](std::uint32_t c, Summed& summed) {
      if (!has_scalars) step_and_publish(round, c, summed, step, publishes);
    };
    const auto place = [&](std::uint32_t c) -> Summed& {
      return sums[static_cast<std::size_t>(std::ranges::find(own, c) - own.begin())];
    };
    merge(round, own,
          {[&](std::uint32_t c) { return sum_key(round.number, c); },
           [&](std::uint32_t c, ChunkSum& sum) {
             Summed& summed = place(c);
             summed.message =
                 encode_sum(sum.builder(), head(round, MessageHead::Kind::sum, worker(), c),
                            round.cut.begin_of(c));
             summed.sum = sum.shared_from_this();
             go_on(c, summed);
           },
           [&](std::uint32_t c, Buffer bytes) {
             Summed& summed = place(c);
             const Vectors part = round.cut.part(round.v, c);
             summed.message = std::move(bytes);
             summed.taken = decode(summed.message, sum_key(round.number, c),
                                   head(round, MessageHead::Kind::sum, worker(), c),
                                   part.totals.size(), part.values.size());
             go_on(c, summed);
           }});
    return sums;
  }

  void step_and_publish(const Round& round, std::uint32_t c, const Summed& summed, ChunkStep& step,
                        bool publishes) {
    const Vectors part = round.cut.part(round.v, c);
    MessageBuilder result(part.totals.size(), part.values.size());
    std::ranges::copy(summed.totals(), result.totals.begin());
    step.step(round.cut.begin_of(c), summed.values(), result.values);
    std::ranges::copy(result.totals, part.totals.begin());
    std::ranges::copy(result.values, part.values.begin());
    if (!publishes) return;
    const std::string key = merged_name(round, c);
    Buffer message = result.finish(head(round, MessageHead::Kind::merged, worker(), c));
    store().save(key, message);
    keep(round.number, Role::merged, key, std::move(message));
  }

  /// Begins to save sums, for a second attempt of this worker.
  void save_sums(const Round& round, const std::vector<std::uint32_t>& own,
                 std::vector<Summed> sums) {
    finish_saving_sums();
    std::vector<std::string> keys;
    std::vector<Buffer> messages;
    for (std::size_t i = 0; i < own.size(); ++i) {
      if (!sums[i].sum) continue;  // it was there
      keys.push_back(sum_key(round.number, own[i]));
      messages.push_back(std::move(sums[i].message));
    }
    if (keys.empty()) return;
    saving_sums_ = std::async(std::launch::async, [this, keys = std::move(keys),
                                                   messages = std::move(messages)]() mutable {
      // Freed once saved: the future may outlive the next gradient.
      const std::vector<Buffer> saved = std::move(messages);
      std::vector<storage::Item> items;
      for (std::size_t i = 0; i < keys.size(); ++i) items.push_back({keys[i], saved[i]});
      store().save_all(items);
    });
  }

  void finish_saving_sums() {
    if (saving_sums_.valid()) saving_sums_.get();
  }

  /// Whether all merged chunks exist.
  bool are_merged(const Round& round) {
    for (std::uint32_t c = 0; c < round.cut.chunks(); ++c)
      if (!store().exists(merged_name(round, c))) return false;
    return true;
  }

  std::vector<std::uint32_t> chunks_of(const Round& round, bool own) const {
    std::vector<std::uint32_t> out;
    for (std::uint32_t c = 0; c < round.cut.chunks(); ++c)
      if ((round.cut.aggregator_of(c) == worker()) == own) out.push_back(c);
    return out;
  }

  /// Saves this worker's contribution to the chunks.
  void contribute(const Round& round, const std::vector<std::uint32_t>& chunks) {
    std::vector<std::string> keys;
    std::vector<Buffer> messages;
    for (const std::uint32_t c : chunks) {
      const Vectors part = round.cut.part(round.v, c);
      keys.push_back(contribution_name(round, worker(), c));
      messages.push_back(encode(head(round, MessageHead::Kind::contribution, worker(), c),
                                part.totals, part.values, contribution(round.cut.begin_of(c))));
    }
    std::vector<storage::Item> items;
    for (std::size_t i = 0; i < keys.size(); ++i) items.push_back({keys[i], messages[i]});
    if (items.size() == 1)
      store().save(keys.front(), messages.front());
    else if (!items.empty())
      store().save_all(items);
    for (std::size_t i = 0; i < keys.size(); ++i)
      keep(round.number, Role::contribution, keys[i], std::move(messages[i]));
  }

  /// Sums this worker's chunks one after another and does with them what is to be done. What
  /// another attempt has saved of a chunk is loaded instead.
  void merge(const Round& round, const std::vector<std::uint32_t>& chunks, const Fate& fate) {
    std::deque<std::future<void>> saves;
    std::exception_ptr failure;
    std::size_t done = 0;
    const auto take_what_is_there = [&] {
      while (done < chunks.size()) {
        std::optional<Buffer> there = store().load(fate.key(chunks[done]));
        if (!there) break;
        fate.take(chunks[done++], std::move(*there));
      }
    };
    try {
      if (catching_up()) take_what_is_there();
      while (done < chunks.size()) {
        done += merge_from(round, std::span(chunks).subspan(done), fate, saves);
        if (done == chunks.size()) break;
        // Another attempt, which is ahead, has merged the next one and perhaps more.
        take_what_is_there();
        catch_up();
      }
    } catch (...) {
      failure = std::current_exception();
    }
    // The saves use this object, so it waits for them even on failure.
    for (std::future<void>& save : saves) {
      try {
        save.get();
      } catch (...) {
        if (!failure) failure = std::current_exception();
      }
    }
    if (failure) std::rethrow_exception(failure);
  }

  /// Merges chunks until the first one that another attempt has merged; returns how many.
  std::size_t merge_from(const Round& round, std::span<const std::uint32_t> chunks,
                         const Fate& fate, std::deque<std::future<void>>& saves) {
    std::vector<std::string> keys;
    for (const std::uint32_t c : chunks)
      for (const std::uint32_t other : others_) keys.push_back(contribution_name(round, other, c));
    const std::size_t each = others_.size();
    std::size_t at = 0;  // in `chunks`
    std::size_t added = 0;
    std::string merged = fate.key(chunks[0]);
    storage::Wait wait = wait_for(keys);
    wait.load_ahead_at_most(round.cut.window());
    wait.add_hook({[&] { return !store().exists(merged); }, first_check_s(), longest_check_s()});
    auto sum = sum_of(round, chunks[0]);
    try {
      while (at < chunks.size()) {
        std::vector<Buffer> run;
        if (each > 0) {
          run = wait.next_in_order();
          if (run.empty()) return at;
        }
        for (std::size_t begin = 0; at < chunks.size();) {
          const std::size_t n = std::min(run.size() - begin, each - added);
          std::vector<Buffer> part(std::make_move_iterator(run.begin() + begin),
                                   std::make_move_iterator(run.begin() + begin + n));
          begin += n;
          const bool last = added + n == each;
          add(round, chunks[at], std::span(others_).subspan(added, n), std::move(part), sum, last,
              fate, chunks.size() > 1 ? &saves : nullptr);
          added += n;
          if (!last) break;
          added = 0;
          if (++at == chunks.size()) break;
          sum = sum_of(round, chunks[at]);
          merged = fate.key(chunks[at]);
          if (begin == run.size() && each > 0) break;
        }
      }
    } catch (const storage::MissingKeys& missing) {
      std::vector<std::uint32_t> silent;
      for (std::size_t i = 0; i < keys.size(); ++i)
        if (std::ranges::find(missing.keys(), keys[i]) != missing.keys().end())
          silent.push_back(others_[i % each]);
      fail_silent_workers(round, std::move(silent));
    }
    return at;
  }

  std::shared_ptr<ChunkSum> sum_of(const Round& round, std::uint32_t c) const {
    return std::make_shared<ChunkSum>(round.cut.part(round.v, c), worker());
  }

  /// Adds contributions of `senders` to the sum; once it is complete, uses it. With `saves`, a
  /// separate thread does so while this one downloads.
  void add(const Round& round, std::uint32_t c, std::span<const std::uint32_t> senders,
           std::vector<Buffer> contributions, const std::shared_ptr<ChunkSum>& sum, bool last,
           const Fate& fate, std::deque<std::future<void>>* saves) {
    auto bytes = std::make_shared<std::vector<Buffer>>(std::move(contributions));
    const auto work = [this, &round, &fate, c, senders, bytes, sum, last] {
      const Vectors part = round.cut.part(round.v, c);
      std::vector<Message> messages;
      for (std::size_t i = 0; i < senders.size(); ++i)
        messages.push_back(decode((*bytes)[i], contribution_name(round, senders[i], c),
                                  head(round, MessageHead::Kind::contribution, senders[i], c),
                                  part.totals.size(), part.values.size()));
      sum->add(messages);
      if (!last) return;
      bytes->clear();
      fate.use(c, *sum);
    };
    if (saves == nullptr || !last) return work();
    while (saves->size() >= kSavesAtOnce) {
      std::future<void> oldest = std::move(saves->front());
      saves->pop_front();
      oldest.get();
    }
    saves->push_back(std::async(std::launch::async, work));
  }

  void publish_sum(const Round& round, std::uint32_t c, ChunkSum& sum) {
    const std::string key = merged_name(round, c);
    Buffer message = encode_sum(sum.builder(), head(round, MessageHead::Kind::merged, worker(), c),
                                round.cut.begin_of(c));
    store().save(key, message);
    sum.replace_own();
    keep(round.number, Role::merged, key, std::move(message));
  }

  /// Waits for the merged chunks and copies each as it arrives.
  void take_merged(const Round& round, const std::vector<std::uint32_t>& chunks) {
    std::vector<std::string> keys;
    for (const std::uint32_t c : chunks) keys.push_back(merged_name(round, c));
    storage::Wait wait = wait_for(keys);
    try {
      while (const std::optional<storage::Arrival> arrival = wait.next())
        take(round, chunks[arrival->index], arrival->value);
    } catch (const storage::MissingKeys& missing) {
      // If the contributions to a chunk are incomplete, the missing workers are silent; if they are
      // complete, the aggregator is.
      std::vector<std::uint32_t> silent;
      for (const std::uint32_t c : chunks) {
        if (std::ranges::find(missing.keys(), merged_name(round, c)) == missing.keys().end())
          continue;
        const std::uint32_t aggregator = round.cut.aggregator_of(c);
        std::vector<std::uint32_t> senders;
        std::vector<std::string> contributions;
        for (std::uint32_t j = 0; j < workers(); ++j) {
          if (j == aggregator) continue;
          senders.push_back(j);
          contributions.push_back(contribution_name(round, j, c));
        }
        const std::vector<std::uint32_t> missing_senders = absent(contributions, senders);
        if (!missing_senders.empty()) {
          silent = missing_senders;
          break;
        }
        silent.push_back(aggregator);
      }
      fail_silent_workers(round, std::move(silent));
    }
  }

  /// Loads the merged chunks if all exist; changes `v` only in that case.
  bool take_if_all_there(const Round& round) {
    std::vector<std::string> keys;
    for (std::uint32_t c = 0; c < round.cut.chunks(); ++c) keys.push_back(merged_name(round, c));
    const std::vector<std::optional<Buffer>> messages = store().load_present(keys);
    if (!std::ranges::all_of(messages, [](const auto& message) { return message.has_value(); }))
      return false;
    for (std::uint32_t c = 0; c < round.cut.chunks(); ++c) take(round, c, *messages[c]);
    return true;
  }

  void take(const Round& round, std::uint32_t c, const Buffer& bytes) const {
    const Vectors to = round.cut.part(round.v, c);
    const Message message =
        decode(bytes, merged_name(round, c),
               head(round, MessageHead::Kind::merged, round.cut.aggregator_of(c), c),
               to.totals.size(), to.values.size());
    std::ranges::copy(message.totals, to.totals.begin());
    std::ranges::copy(message.values, to.values.begin());
  }

  [[noreturn]] void fail_silent_workers(const Round& round, std::vector<std::uint32_t> silent) {
    std::ranges::sort(silent);
    silent.erase(std::unique(silent.begin(), silent.end()), silent.end());
    fail_silent(fmt::format("round {}", round.number), silent);
  }

  MessageHead head(const Round& round, MessageHead::Kind kind, std::uint32_t from,
                   std::uint32_t chunk) const {
    return {.kind = kind,
            .job = membership().job,
            .round = round.number,
            .worker = from,
            .chunk = chunk};
  }
  /// A single aggregator with one chunk uses keys without a chunk number.
  bool is_whole(const Round& round) const { return aggregators_ == 1 && round.cut.chunks() == 1; }
  std::string contribution_name(const Round& round, std::uint32_t from, std::uint32_t c) const {
    return is_whole(round) ? contribution_key(round.number, from)
                           : contribution_chunk_key(round.number, from, c);
  }
  std::string merged_name(const Round& round, std::uint32_t c) const {
    return is_whole(round) ? merged_key(round.number) : merged_chunk_key(round.number, c);
  }

  const std::uint32_t aggregators_;
  std::vector<std::uint32_t> others_;
  std::future<void> saving_sums_;  ///< of the last round of steps; its end waits for it
};

/// For the busiest aggregator: its encoded contributions to the chunks of others, the window of
/// contributions twice (as received and, if packed, unpacked), the sums being merged and saved, and
/// a merged message being read.
std::uint64_t bytes_needed(const MergeSizes& sizes, std::uint32_t aggregators) {
  if (sizes.workers <= 1) return 0;
  aggregators = std::clamp<std::uint32_t>(aggregators, 1, sizes.workers);
  const Cut cut(sizes.values, aggregators);
  const std::uint64_t chunk = cut.size_of(0) * sizeof(float) + 64;
  const std::uint64_t pieces = (cut.chunks() + aggregators - 1) / aggregators;
  const std::uint64_t foreign = (cut.chunks() - pieces) * chunk;
  const std::uint64_t loaded = std::min<std::uint64_t>(
      {cut.window(), (sizes.workers - 1) * std::min<std::uint64_t>(pieces, kSavesAtOnce + 1)});
  const std::uint64_t forms = is_changed(sizes.options, "compress") ? 2 : 1;
  return foreign + loaded * chunk * forms +
         std::min<std::uint64_t>(pieces, kSavesAtOnce + 1) * 2 * chunk;
}

std::unique_ptr<Communicator> make(Membership membership, std::uint32_t aggregators) {
  return std::make_unique<Bulk>(std::move(membership), aggregators);
}

std::vector<Option> options() {
  std::vector<Option> all = {
      {.name = "aggregators",
       .default_value = std::int64_t{0},
       .help =
           "reduce and reduce_scatter: workers that each merge a part of the vector; 0: one for "
           "reduce, all for reduce_scatter",
       .minimum = 0,
       .maximum = 1e5,
       .execution_only = true}};
  add_options(all, compression_options());
  return all;
}

/// `by_name`: the aggregators of the pattern if the option is not set.
std::uint32_t aggregators_of(const Options& options, std::uint32_t by_name) {
  const std::int64_t k = options.integer("aggregators");
  return k > 0 ? static_cast<std::uint32_t>(k) : by_name;
}

void check(const Demand& demand) {
  require_increments(demand.options, demand.optimizer, demand.merges_increments);
}

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "reduce",
                .help = "worker 0 merges all vectors, the others read the merged one",
                .make =
                    [](Membership membership) {
                      const std::uint32_t k = aggregators_of(membership.options, 1);
                      return make(std::move(membership), k);
                    },
                .bytes_needed =
                    [](const MergeSizes& sizes) {
                      return bytes_needed(sizes, aggregators_of(sizes.options, 1));
                    },
                .options = options(),
                .check = check});
  registry.add({.name = "reduce_scatter",
                .help = "worker i merges chunk i of all vectors, all read all merged chunks",
                .make =
                    [](Membership membership) {
                      const std::uint32_t k =
                          aggregators_of(membership.options, membership.workers);
                      return make(std::move(membership), k);
                    },
                .bytes_needed =
                    [](const MergeSizes& sizes) {
                      return bytes_needed(sizes, aggregators_of(sizes.options, sizes.workers));
                    },
                .options = options(),
                .check = check});
}

}  // namespace lambdaml::comm::bulk
