#include "lambdaml/comm/bulk_synchronous.h"

#include <algorithm>

#include "lambdaml/base/log.h"

namespace lambdaml::comm {
namespace {

/// While it waits for contributions, a worker looks for a merged result first after this part of
/// its patience (1 s of 300 s), and then ever more rarely: each look reads again what has come
/// already.
constexpr double kFirstLook = 1.0 / 300;
constexpr double kLongestLook = 0.1;

std::string name_of(std::uint64_t round) { return fmt::format("round {}", round); }

}  // namespace

BulkSynchronous::BulkSynchronous(Membership membership) : Communicator(std::move(membership)) {
  store_forgets_ = workers() > 1 && !store().capabilities().durable;
}

std::size_t BulkSynchronous::merge_round(std::uint64_t round, Vectors v, Meaning meaning) {
  contribution_form_ = merged_form_ = Form::f32;
  // What is not finite travels as it is: all must see that the numbers have diverged.
  if (meaning == Meaning::increment && membership().compression != Compression::none &&
      !v.values.empty() && all_finite(v.values))
    squeeze(v.values);
  return sum_round(round, v);
}

void BulkSynchronous::squeeze(std::span<float> values) {
  if (residual_.empty()) residual_.resize(values.size());
  if (residual_.size() != values.size())
    fail(Code::internal, "increments of {} and of {} values cannot both be compressed",
         residual_.size(), values.size());
  for (std::size_t i = 0; i < values.size(); ++i) residual_[i] += values[i];
  std::ranges::copy(residual_, values.begin());
  switch (membership().compression) {
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
      const double share = membership().kept_share * static_cast<double>(values.size());
      keep_largest(values, std::max<std::size_t>(1, static_cast<std::size_t>(share)));
      break;
    }
  }
  round_to(contribution_form_, values, 0);
  for (std::size_t i = 0; i < values.size(); ++i) residual_[i] -= values[i];
}

Buffer BulkSynchronous::seal(Draft& sum, const MessageHead& head, std::size_t begin) const {
  if (merged_form_ == Form::f32 || !all_finite(sum.values)) return sum.seal(head);
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

std::optional<std::vector<Buffer>> BulkSynchronous::wait_in_slices(
    const std::vector<std::string>& keys, Deadline end, const std::function<bool()>& between) {
  const double patience = membership().patience_s;
  for (double look = kFirstLook * patience;; look = std::min(look * 2, kLongestLook * patience)) {
    try {
      return store().load_all(keys, end.earlier(Deadline::in(look)));
    } catch (const storage::MissingKeys&) {
      if (between()) return {};
      if (end.passed()) throw;
      put_back_what_is_lost();
    }
  }
}

BulkSynchronous::Arrived BulkSynchronous::wait_for_contributions(
    std::uint64_t round, const std::vector<std::string>& keys,
    const std::vector<std::uint32_t>& senders, const std::string& merged) {
  try {
    std::optional<Buffer> result;
    std::optional<std::vector<Buffer>> contributions = wait_in_slices(
        keys, wait_deadline(), [&] { return (result = store().load(merged)).has_value(); });
    if (contributions) return {std::move(*contributions), {}};
    return {{}, std::move(result)};
  } catch (const storage::MissingKeys& missing) {
    std::vector<std::uint32_t> silent;
    for (std::size_t i = 0; i < keys.size(); ++i)
      if (std::ranges::find(missing.keys(), keys[i]) != missing.keys().end())
        silent.push_back(senders[i]);
    fail_silent(name_of(round), silent);
  }
}

std::vector<Buffer> BulkSynchronous::wait_for_merged(
    std::uint64_t round, const std::vector<std::string>& keys,
    const std::function<std::vector<std::uint32_t>(std::size_t)>& silent) {
  try {
    return std::move(*wait_in_slices(keys, wait_deadline(), [] { return false; }));
  } catch (const storage::MissingKeys& missing) {
    std::vector<std::uint32_t> workers;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (std::ranges::find(missing.keys(), keys[i]) == missing.keys().end()) continue;
      for (const std::uint32_t worker : silent(i))
        if (std::ranges::find(workers, worker) == workers.end()) workers.push_back(worker);
    }
    std::ranges::sort(workers);
    fail_silent(name_of(round), workers);
  }
}

void BulkSynchronous::keep(std::uint64_t round, Role role, const std::string& key, Buffer message) {
  if (store_forgets_) published_.push_back({round, role, key, std::move(message)});
}

void BulkSynchronous::put_back_what_is_lost() {
  std::size_t lost = 0;
  for (const Published& published : published_)
    lost += store().create(published.key, published.message) ? 1 : 0;
  if (lost > 0)
    log::warning("{} has lost {} messages of this worker; they were put back", store().describe(),
                 lost);
}

std::vector<std::uint32_t> BulkSynchronous::absent(const std::vector<std::string>& keys,
                                                   const std::vector<std::uint32_t>& senders,
                                                   std::uint32_t otherwise) {
  std::vector<std::uint32_t> out;
  for (std::size_t i = 0; i < keys.size(); ++i)
    if (!store().load(keys[i])) out.push_back(senders[i]);
  if (out.empty()) out.push_back(otherwise);
  return out;
}

void BulkSynchronous::completed(std::uint64_t round, std::vector<std::string> contributions,
                                std::vector<std::string> merged, std::uint64_t merged_bytes) {
  for (std::string& key : contributions) removable_.push_back(std::move(key));
  kept_.push_back({round, merged_bytes, std::move(merged)});
  completed_ = round + 1;
  // All have taken the results of the round before, or they would not have contributed to this one.
  std::erase_if(published_, [&](const Published& published) {
    return published.round < round || published.role == Role::contribution;
  });
}

void BulkSynchronous::sweep() {
  std::vector<std::string> keys = removable_;
  const bool all_past = completed_ > retired_;
  std::size_t rounds = 0;
  while (all_past && rounds < kept_.size() && kept_[rounds].round < retired_) {
    keys.insert(keys.end(), kept_[rounds].keys.begin(), kept_[rounds].keys.end());
    ++rounds;
  }
  if (!keys.empty()) store().remove_all(keys);
  removable_.clear();
  kept_.erase(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(rounds));
}

}  // namespace lambdaml::comm
