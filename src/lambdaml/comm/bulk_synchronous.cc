#include "lambdaml/comm/bulk_synchronous.h"

#include <algorithm>
#include <utility>

#include "lambdaml/base/log.h"

namespace lambdaml::comm {
namespace {

/// The part of its patience after which a waiting worker first checks whether a merged result
/// exists and its own messages still do (1 s of 300 s). Then it checks ever more rarely, because
/// each check is a request.
constexpr double kFirstCheck = 1.0 / 300;
constexpr double kLongestCheck = 0.1;

}  // namespace

BulkSynchronous::BulkSynchronous(Membership given)
    : Communicator(std::move(given)),
      compression_(compression_from(membership().options.text("compress"))),
      kept_share_(membership().options.real("compress_share")) {
  store_forgets_ = workers() > 1 && !store().capabilities().durable;
}

std::size_t BulkSynchronous::merge_round(std::uint64_t round, Vectors v, Meaning meaning) {
  choose_forms(v, meaning);
  return sum_round(round, v);
}

std::size_t BulkSynchronous::step_round(std::uint64_t round, Vectors v, ChunkStep& step) {
  choose_forms(v, Meaning::increment);
  return sum_and_step(round, v, step);
}

void BulkSynchronous::choose_forms(Vectors v, Meaning meaning) {
  contribution_form_ = merged_form_ = Form::f32;
  // Values that are not finite are sent as they are: all workers must see that the numbers have
  // diverged.
  if (meaning == Meaning::increment && compression_ != Compression::none && !v.values.empty() &&
      all_finite(v.values))
    compress_with_feedback(v.values);
}

void BulkSynchronous::compress_with_feedback(std::span<float> values) {
  if (residual_.empty()) residual_.resize(values.size());
  if (residual_.size() != values.size())
    fail(Code::internal, "increments of {} and of {} values cannot both be compressed",
         residual_.size(), values.size());
  for (std::size_t i = 0; i < values.size(); ++i) residual_[i] += values[i];
  std::ranges::copy(residual_, values.begin());
  switch (compression_) {
    case Compression::none:
      break;
    case Compression::bf16:
      contribution_form_ = merged_form_ = Form::bf16;
      break;
    case Compression::int8:
      contribution_form_ = Form::int8;
      merged_form_ = Form::bf16;
      break;
    case Compression::topk: {
      contribution_form_ = merged_form_ = Form::sparse;
      const double share = kept_share_ * static_cast<double>(values.size());
      keep_largest(values, std::max<std::size_t>(1, static_cast<std::size_t>(share)));
      break;
    }
  }
  round_to(contribution_form_, values, 0);
  for (std::size_t i = 0; i < values.size(); ++i) residual_[i] -= values[i];
}

Buffer BulkSynchronous::encode_sum(MessageBuilder& sum, const MessageHead& head,
                                   std::size_t begin) const {
  if (merged_form_ == Form::f32 || !all_finite(sum.values)) return sum.finish(head);
  round_to(merged_form_, sum.values, begin);
  return encode(head, sum.totals, sum.values, {merged_form_, begin});
}

void BulkSynchronous::retire(std::uint64_t round) { retired_ = std::max(retired_, round); }

std::uint64_t BulkSynchronous::retained_bytes() const {
  std::uint64_t bytes = 0;
  for (const MergedRound& merged : kept_)
    if (merged.round >= retired_) bytes += merged.bytes;
  return bytes;
}

double BulkSynchronous::first_check_s() const { return kFirstCheck * membership().patience_s; }
double BulkSynchronous::longest_check_s() const { return kLongestCheck * membership().patience_s; }

storage::Wait BulkSynchronous::wait_for(std::vector<std::string> keys) {
  storage::Wait wait(store(), std::move(keys), wait_deadline());
  if (store_forgets_)
    wait.add_hook({[this] {
                     put_back_what_is_lost();
                     return true;
                   },
                   first_check_s(), longest_check_s()});
  return wait;
}

void BulkSynchronous::keep(std::uint64_t round, Role role, const std::string& key, Buffer message) {
  const std::lock_guard lock(published_mutex_);
  if (store_forgets_) published_.push_back({round, role, key, std::move(message)});
}

void BulkSynchronous::put_back_what_is_lost() {
  const std::lock_guard lock(published_mutex_);
  std::size_t lost = 0;
  for (const Published& published : published_)
    if (!store().exists(published.key))
      lost += store().create(published.key, published.message) ? 1 : 0;
  if (lost > 0)
    log::warning("{} has lost {} messages of this worker; they were put back", store().describe(),
                 lost);
}

std::vector<std::uint32_t> BulkSynchronous::absent(const std::vector<std::string>& keys,
                                                   const std::vector<std::uint32_t>& senders) {
  std::vector<std::uint32_t> out;
  for (std::size_t i = 0; i < keys.size(); ++i)
    if (!store().exists(keys[i])) out.push_back(senders[i]);
  return out;
}

void BulkSynchronous::completed(std::uint64_t round, std::vector<std::string> contributions,
                                std::vector<std::string> merged, std::uint64_t merged_bytes) {
  for (std::string& key : contributions) removable_.push_back(std::move(key));
  kept_.push_back({round, merged_bytes, std::move(merged)});
  completed_ = std::max(completed_, round + 1);
  // All workers have read the results of the round before, or they would not have contributed to
  // this one.
  const std::lock_guard lock(published_mutex_);
  const bool is_within_steps = open_steps_ && *open_steps_ != round;
  std::erase_if(published_, [&](const Published& published) {
    if (is_within_steps) return published.round == round && published.role == Role::contribution;
    return published.round < round || published.role == Role::contribution;
  });
}

void BulkSynchronous::completed_steps(std::uint64_t round, std::vector<std::string> contributions,
                                      std::vector<std::string> merged, std::uint64_t merged_bytes) {
  for (std::string& key : stepped_) removable_.push_back(std::move(key));
  stepped_ = std::move(contributions);
  completed(round, {}, std::move(merged), merged_bytes);
  open_steps_.reset();
}

void BulkSynchronous::save_and_collect_garbage(std::span<const storage::Item> items) {
  const std::vector<std::string> keys = take_garbage();
  if (keys.empty()) return save(items);
  try {
    store().save_and_remove(items, keys);
  } catch (const Error& error) {
    if (!is_harmless_when_removing(error)) throw;
    save(items);  // throws again if this is what failed
    collect_no_more(error);
  }
}

void BulkSynchronous::collect_garbage() {
  const std::vector<std::string> keys = take_garbage();
  if (keys.empty()) return;
  try {
    store().remove_all(keys);
  } catch (const Error& error) {
    if (!is_harmless_when_removing(error)) throw;
    collect_no_more(error);
  }
}

void BulkSynchronous::save(std::span<const storage::Item> items) {
  if (items.size() == 1)
    store().save(items.front().key, items.front().value);
  else
    store().save_all(items);
}

/// What a round leaves behind costs space until the job ends; it must not end the job. But after an
/// outage or an interruption the next request would meet the same, which ends the job with advice.
bool BulkSynchronous::is_harmless_when_removing(const Error& error) {
  return error.code() != Code::unavailable && error.code() != Code::cancelled;
}

void BulkSynchronous::collect_no_more(const Error& error) {
  log::warning("removing messages of past rounds: {}; they stay until the job ends", error.what());
  collects_ = false;
}

std::vector<std::string> BulkSynchronous::take_garbage() {
  std::vector<std::string> keys = std::exchange(removable_, {});
  const bool all_past = completed_ > retired_;
  std::size_t rounds = 0;
  while (all_past && rounds < kept_.size() && kept_[rounds].round < retired_) {
    keys.insert(keys.end(), kept_[rounds].keys.begin(), kept_[rounds].keys.end());
    ++rounds;
  }
  kept_.erase(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(rounds));
  if (!collects_) keys.clear();
  return keys;
}

}  // namespace lambdaml::comm
