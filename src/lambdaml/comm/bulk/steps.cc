#include <algorithm>
#include <utility>

#include "lambdaml/comm/bulk/bulk.h"

/// merge_and_step(): an aggregator replaces the sum of its chunk by what it makes of it, such as
/// new parameters, and saves the sum for itself, for a second attempt: C more PUTs, which nobody
/// waits for. BulkSynchronous says why the sums are enough.
namespace lambdaml::comm::bulk {

std::size_t Bulk::sum_and_step(std::uint64_t number, Vectors v, ChunkStep& step) {
  const Round round{number, v, cut_of(v.values.size())};
  const std::vector<std::uint32_t> own = chunks_of(round, true);
  const std::vector<std::uint32_t> foreign = chunks_of(round, false);
  open_steps(number);
  const bool is_over = catching_up() && are_merged(round);
  if (!is_over) {
    caught_up();
    contribute(round, foreign);
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
    kept.insert(kept.end(), {merged_name(round, c), sum_name(round, c)});
  completed_steps(number, std::move(mine), std::move(kept),
                  v.totals.size_bytes() + v.values.size_bytes() * 2);
  return workers();
}

std::vector<Bulk::Summed> Bulk::sum_and_keep(const Round& round,
                                             const std::vector<std::uint32_t>& own, ChunkStep& step,
                                             bool publishes) {
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
        {[&](std::uint32_t c) { return sum_name(round, c); },
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
           summed.taken = decode(summed.message, sum_name(round, c),
                                 head(round, MessageHead::Kind::sum, worker(), c),
                                 part.totals.size(), part.values.size());
           go_on(c, summed);
         }});
  return sums;
}

void Bulk::step_and_publish(const Round& round, std::uint32_t c, const Summed& summed,
                            ChunkStep& step, bool publishes) {
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

void Bulk::save_sums(const Round& round, const std::vector<std::uint32_t>& own,
                     std::vector<Summed> sums) {
  finish_saving_sums();
  std::vector<std::string> keys;
  std::vector<Buffer> messages;
  for (std::size_t i = 0; i < own.size(); ++i) {
    if (!sums[i].sum) continue;  // it was there
    keys.push_back(sum_name(round, own[i]));
    messages.push_back(std::move(sums[i].message));
  }
  if (keys.empty()) return;
  saving_sums_ =
      Background([this, keys = std::move(keys),
                  messages = std::make_shared<std::vector<Buffer>>(std::move(messages))] {
        // Freed once saved: the work may outlive the next gradient.
        const std::vector<Buffer> saved = std::move(*messages);
        std::vector<storage::Item> items;
        for (std::size_t i = 0; i < keys.size(); ++i) items.push_back({keys[i], saved[i]});
        store().save_all(items);
      });
}

void Bulk::finish_saving_sums() {
  if (saving_sums_.valid()) saving_sums_.get();
}

bool Bulk::are_merged(const Round& round) {
  for (std::uint32_t c = 0; c < round.cut.chunks(); ++c)
    if (!store().exists(merged_name(round, c))) return false;
  return true;
}

}  // namespace lambdaml::comm::bulk
