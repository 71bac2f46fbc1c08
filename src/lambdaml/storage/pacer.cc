#include "lambdaml/storage/pacer.h"

#include <algorithm>

namespace lambdaml::storage {
namespace {

constexpr double kGrowth = 1.5;
constexpr double kEarlier = 0.75;
/// Where polls are quick: of the time of a wait's last poll in vain. A larger share saves few polls
/// and makes rounds of workers that are not in step longer.
constexpr double kMuchEarlier = 0.25;
constexpr std::size_t kFirstKeysAtOnce = 4;
/// A job waits in a handful of folders; beyond that the map is not worth keeping.
constexpr std::size_t kMostFolders = 1000;

}  // namespace

const Pacer::Tuning& Pacer::tuning(bool polling_is_expensive, bool polling_is_quick) {
  static const Tuning cheap;
  return !polling_is_expensive ? cheap : polling_is_quick ? kQuickPolling : kExpensivePolling;
}

Pacer::Wait::Wait(Pacer& pacer, std::string folder, double first_s, std::size_t most_at_once)
    : pacer_(pacer),
      folder_(std::move(folder)),
      next_s_(first_s),
      pause_s_(pacer.tuning_.shortest_s),
      first_s_(first_s),
      most_at_once_(most_at_once),
      at_once_(std::min(most_at_once, kFirstKeysAtOnce)) {}

std::size_t Pacer::Wait::size_after(std::size_t size, std::size_t asked, bool all_there) {
  if (pacer_.tuning_.is_quick) return most_at_once_;
  // Also from one on: otherwise one key that is late would have all later ones asked for singly.
  if (!all_there && size > 1) at_once_ = std::max<std::size_t>(1, at_once_ / 8);
  if (all_there && size == at_once_ && asked == size)
    at_once_ = std::min(2 * at_once_, most_at_once_);
  return at_once_;
}

void Pacer::Wait::in_vain(double now_s) {
  last_in_vain_s_ = now_s;
  const Tuning& tuning = pacer_.tuning_;
  next_s_ =
      now_s + std::max(pause_s_, std::min(now_s * tuning.long_wait_share, tuning.long_wait_s));
  pause_s_ = std::min(pause_s_ * kGrowth, tuning.longest_s);
}

void Pacer::Wait::found(double now_s) {
  if (pacer_.tuning_.is_quick)
    pacer_.learn(folder_, (last_in_vain_s_ < 0 ? first_s_ : last_in_vain_s_) * kMuchEarlier);
  else if (last_in_vain_s_ < 0)
    pacer_.learn(folder_, first_s_ * kEarlier);
  else
    pacer_.learn(folder_, (last_in_vain_s_ + now_s) / 2);
}

Pacer::Wait Pacer::wait_for(std::string_view key, std::size_t most_at_once) {
  const std::size_t slash = key.rfind('/');
  std::string folder(slash == std::string_view::npos ? std::string_view() : key.substr(0, slash));
  const double first_s = tuning_.poll_at_once ? 0 : expected(folder);
  return {*this, std::move(folder), first_s, most_at_once};
}

double Pacer::expected(const std::string& folder) {
  const std::lock_guard lock(mutex_);
  const auto at = expected_s_.find(folder);
  return at == expected_s_.end() ? 0 : at->second;
}

void Pacer::learn(const std::string& folder, double seconds) {
  if (tuning_.poll_at_once) return;
  const std::lock_guard lock(mutex_);
  if (expected_s_.size() >= kMostFolders) expected_s_.clear();
  expected_s_[folder] = std::min(seconds, tuning_.latest_first_poll_s);
}

}  // namespace lambdaml::storage
