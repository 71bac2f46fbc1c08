#include "lambdaml/comm/bulk/bulk.h"

#include <algorithm>
#include <exception>
#include <iterator>
#include <limits>
#include <utility>

#include <fmt/core.h>

#include "lambdaml/base/option_sets.h"
#include "lambdaml/comm/registry.h"

/// The pattern to read first: all workers wait for all, and K of them are aggregators.
///
/// The vector is cut into chunks. Chunk c is merged by one worker, the aggregator c mod K, in
/// worker order; so the result is bitwise the same for every K. A round is two PUT–GET pairs in
/// sequence: each worker saves its contribution to every chunk that another worker merges, the
/// aggregators merge and save their chunks, and all workers read all merged chunks. With C chunks
/// that makes C · P PUTs and 2 C (P − 1) GETs.
///
/// Stores limit how many requests they take per second. K of reduce_scatter is no larger than what
/// lets the writes of a round fit into a second of what the store says that it takes
/// (most_aggregators()), and each worker tells its store its share of a round's requests.
///
/// `reduce` is K = 1: for small vectors and stores that bill requests. `reduce_scatter` is K = P:
/// the bytes are spread over all workers. There are K chunks, or as many as there are numbers if
/// that is fewer. An aggregator with a large chunk gets several smaller ones instead, so that it
/// merges and saves one while it downloads the next (kOverlapBytes, kPieceBytes): the critical path
/// is then one transfer of the bytes over one connection, not three.
///
/// In merge_and_step() an aggregator replaces the sum of its chunk by what it makes of it: see
/// steps.cc.
///
/// An aggregator holds its chunk's sum and about kWindowBytes of contributions, which it adds as
/// they arrive; bytes_needed() gives the total.
namespace lambdaml::comm::bulk {
namespace {

/// Merged chunks that are being saved at the same time.
constexpr std::size_t kSavesAtOnce = 2;

}  // namespace

Bulk::Bulk(Membership membership, std::uint32_t aggregators)
    : BulkSynchronous(std::move(membership)),
      aggregators_(std::clamp<std::uint32_t>(aggregators, 1, workers())) {
  if (meets_nobody()) return;
  // Requests of a round, by the counts above: 2 C if it merges none of C chunks, and P − 2 more for
  // each that it merges.
  const double p = workers(), c = aggregators_;
  const double own = worker() < aggregators_ ? 1 : 0;
  store().take_share((2 * c + own * (p - 2)) / (c * (3 * p - 2)));
}

std::vector<Range> Bulk::owned(std::size_t size) const {
  if (meets_nobody()) return {{0, size}};
  const Cut cut = cut_of(size);
  std::vector<Range> out;
  for (std::uint32_t c = worker(); c < cut.chunks() && worker() < cut.aggregators();
       c += cut.aggregators())
    if (cut.size_of(c) > 0) out.emplace_back(cut.begin_of(c), cut.begin_of(c) + cut.size_of(c));
  return out;
}

std::size_t Bulk::sum_round(std::uint64_t number, Vectors v) {
  const Round round{number, v, cut_of(v.values.size())};
  const std::vector<std::uint32_t> own = chunks_of(round, true);
  const std::vector<std::uint32_t> foreign = chunks_of(round, false);
  if (!catching_up() || !take_if_all_there(round)) {
    caught_up();
    contribute(round, foreign);
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

std::vector<std::uint32_t> Bulk::chunks_of(const Round& round, bool own) const {
  std::vector<std::uint32_t> out;
  for (std::uint32_t c = 0; c < round.cut.chunks(); ++c)
    if ((round.cut.aggregator_of(c) == worker()) == own) out.push_back(c);
  return out;
}

void Bulk::contribute(const Round& round, const std::vector<std::uint32_t>& chunks) {
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
  if (!items.empty()) save_and_collect_garbage(items);
  for (std::size_t i = 0; i < keys.size(); ++i)
    keep(round.number, Role::contribution, keys[i], std::move(messages[i]));
}

void Bulk::merge(const Round& round, const std::vector<std::uint32_t>& chunks,
                 const Handlers& handlers) {
  std::deque<Background> saves;
  std::exception_ptr failure;
  std::size_t done = 0;
  const auto take_what_is_there = [&] {
    while (done < chunks.size()) {
      std::optional<Buffer> there = store().load(handlers.key(chunks[done]));
      if (!there) break;
      handlers.take(chunks[done++], std::move(*there));
    }
  };
  try {
    if (catching_up()) take_what_is_there();
    while (done < chunks.size()) {
      done += merge_from(round, std::span(chunks).subspan(done), handlers, saves);
      if (done == chunks.size()) break;
      // Another attempt, which is ahead, has merged the next one and perhaps more.
      take_what_is_there();
      catch_up();
    }
  } catch (...) {
    failure = std::current_exception();
  }
  // The saves use this object, so it waits for them even on failure.
  for (Background& save : saves) {
    try {
      save.get();
    } catch (...) {
      if (!failure) failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

std::size_t Bulk::merge_from(const Round& round, std::span<const std::uint32_t> chunks,
                             const Handlers& handlers, std::deque<Background>& saves) {
  if (others_.empty()) {
    others_.reserve(workers());
    for (std::uint32_t i = 0; i < workers(); ++i)
      if (i != worker()) others_.push_back(i);
  }
  std::vector<std::string> keys;
  for (const std::uint32_t c : chunks)
    for (const std::uint32_t other : others_) keys.push_back(contribution_name(round, other, c));
  const std::size_t each = others_.size();
  std::size_t at = 0;  // in `chunks`
  std::size_t added = 0;
  std::string merged = handlers.key(chunks[0]);
  storage::Wait wait = wait_for(keys);
  wait.load_ahead_at_most(round.cut.window(round.v.totals.size()));
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
            handlers, chunks.size() > 1 ? &saves : nullptr);
        added += n;
        if (!last) break;
        added = 0;
        if (++at == chunks.size()) break;
        sum = sum_of(round, chunks[at]);
        merged = handlers.key(chunks[at]);
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

std::shared_ptr<ChunkSum> Bulk::sum_of(const Round& round, std::uint32_t c) const {
  return std::make_shared<ChunkSum>(round.cut.part(round.v, c), worker());
}

void Bulk::add(const Round& round, std::uint32_t c, std::span<const std::uint32_t> senders,
               std::vector<Buffer> contributions, const std::shared_ptr<ChunkSum>& sum, bool last,
               const Handlers& handlers, std::deque<Background>* saves) {
  auto bytes = std::make_shared<std::vector<Buffer>>(std::move(contributions));
  const auto work = [this, &round, &handlers, c, senders, bytes, sum, last] {
    const Vectors part = round.cut.part(round.v, c);
    std::vector<Message> messages;
    for (std::size_t i = 0; i < senders.size(); ++i)
      messages.push_back(decode((*bytes)[i], contribution_name(round, senders[i], c),
                                head(round, MessageHead::Kind::contribution, senders[i], c),
                                part.totals.size(), part.values.size()));
    sum->add(messages);
    if (!last) return;
    bytes->clear();
    handlers.use(c, *sum);
  };
  if (saves == nullptr || !last) return work();
  while (saves->size() >= kSavesAtOnce) {
    Background oldest = std::move(saves->front());
    saves->pop_front();
    oldest.get();
  }
  saves->emplace_back(work);
}

void Bulk::publish_sum(const Round& round, std::uint32_t c, ChunkSum& sum) {
  const std::string key = merged_name(round, c);
  Buffer message = encode_sum(sum.builder(), head(round, MessageHead::Kind::merged, worker(), c),
                              round.cut.begin_of(c));
  store().save(key, message);
  sum.replace_own();
  keep(round.number, Role::merged, key, std::move(message));
}

void Bulk::take_merged(const Round& round, const std::vector<std::uint32_t>& chunks) {
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

bool Bulk::take_if_all_there(const Round& round) {
  std::vector<std::string> keys;
  for (std::uint32_t c = 0; c < round.cut.chunks(); ++c) keys.push_back(merged_name(round, c));
  const std::vector<std::optional<Buffer>> messages = store().load_present(keys);
  if (!std::ranges::all_of(messages, [](const auto& message) { return message.has_value(); }))
    return false;
  for (std::uint32_t c = 0; c < round.cut.chunks(); ++c) take(round, c, *messages[c]);
  return true;
}

void Bulk::take(const Round& round, std::uint32_t c, const Buffer& bytes) const {
  const Vectors to = round.cut.part(round.v, c);
  const Message message =
      decode(bytes, merged_name(round, c),
             head(round, MessageHead::Kind::merged, round.cut.aggregator_of(c), c),
             to.totals.size(), to.values.size());
  std::ranges::copy(message.totals, to.totals.begin());
  std::ranges::copy(message.values, to.values.begin());
}

void Bulk::fail_silent_workers(const Round& round, std::vector<std::uint32_t> silent) {
  std::ranges::sort(silent);
  silent.erase(std::unique(silent.begin(), silent.end()), silent.end());
  fail_silent(fmt::format("round {}", round.number), silent);
}

MessageHead Bulk::head(const Round& round, MessageHead::Kind kind, std::uint32_t from,
                       std::uint32_t chunk) const {
  return {
      .kind = kind, .job = membership().job, .round = round.number, .worker = from, .chunk = chunk};
}

bool Bulk::is_whole(const Round& round) const {
  return aggregators_ == 1 && round.cut.chunks() == 1;
}

std::string Bulk::contribution_name(const Round& round, std::uint32_t from, std::uint32_t c) const {
  return placed(is_whole(round) ? contribution_key(round.number, from)
                                : contribution_chunk_key(round.number, from, c),
                round.bytes());
}

std::string Bulk::merged_name(const Round& round, std::uint32_t c) const {
  return placed(is_whole(round) ? merged_key(round.number) : merged_chunk_key(round.number, c),
                round.bytes());
}

std::string Bulk::sum_name(const Round& round, std::uint32_t c) const {
  return placed(sum_key(round.number, c), round.bytes());
}

namespace {

/// For the busiest aggregator: its encoded contributions to the chunks of others, the window of
/// contributions twice (as received and, if packed, unpacked), the sums being merged and saved, and
/// a merged message being read.
std::uint64_t bytes_needed(const MergeSizes& sizes, std::uint32_t aggregators) {
  if (sizes.workers <= 1) return 0;
  aggregators = std::clamp<std::uint32_t>(aggregators, 1, sizes.workers);
  const Cut cut(sizes.values, aggregators);
  const std::uint64_t chunk = cut.message_bytes(sizes.totals);
  const std::uint64_t pieces = (cut.chunks() + aggregators - 1) / aggregators;
  const std::uint64_t foreign = (cut.chunks() - pieces) * chunk;
  const std::uint64_t loaded = std::min<std::uint64_t>(
      {cut.window(sizes.totals),
       (sizes.workers - 1) * std::min<std::uint64_t>(pieces, kSavesAtOnce + 1)});
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
           "reduce, all for reduce_scatter, or fewer where their requests would exceed what the "
           "store takes per second",
       .minimum = 0,
       .maximum = 1e5,
       .execution_only = true}};
  add_options(all, compression_options());
  return all;
}

/// For reduce_scatter: with K aggregators P workers write some P·K values in a round, which shall
/// be no more than the store takes in a second. The same on all workers.
std::uint32_t most_aggregators(std::uint32_t workers, double writes_per_s) {
  const double most = std::min<double>(workers, writes_per_s / workers);
  return std::max<std::uint32_t>(1, static_cast<std::uint32_t>(most));
}

std::uint32_t aggregators_or(const Options& options, std::uint32_t of_pattern) {
  const std::int64_t k = options.integer("aggregators");
  return k > 0 ? static_cast<std::uint32_t>(k) : of_pattern;
}
std::uint32_t aggregators_of_reduce(const MergeSizes& sizes) {
  return aggregators_or(sizes.options, 1);
}
std::uint32_t aggregators_of_reduce_scatter(const MergeSizes& sizes) {
  return aggregators_or(sizes.options, most_aggregators(sizes.workers, sizes.writes_per_s));
}

void check(const Demand& demand) {
  require_increments(demand.options, demand.optimizer, demand.merges_increments);
}

/// The plug-in of a pattern that differs from others in its number of aggregators.
Plugin plugin(const char* name, const char* help, std::uint32_t (*aggregators)(const MergeSizes&)) {
  return {.name = name,
          .help = help,
          .make =
              [aggregators](Membership membership) {
                MergeSizes sizes{.workers = membership.workers, .options = membership.options};
                if (membership.store)
                  sizes.writes_per_s = membership.store->capabilities().writes_per_s;
                return make(std::move(membership), aggregators(sizes));
              },
          .bytes_needed =
              [aggregators](const MergeSizes& sizes) {
                return bytes_needed(sizes, aggregators(sizes));
              },
          .aggregators = aggregators,
          .options = options(),
          .check = check};
}

}  // namespace

void register_plugin(Registry& registry) {
  registry.add(plugin("reduce", "worker 0 merges all vectors, the others read the merged one",
                      aggregators_of_reduce));
  registry.add(plugin("reduce_scatter",
                      "worker i merges chunk i of all vectors, all read all merged chunks",
                      aggregators_of_reduce_scatter));
}

}  // namespace lambdaml::comm::bulk
