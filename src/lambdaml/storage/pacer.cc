#include "lambdaml/storage/pacer.h"

#include <algorithm>

namespace lambdaml::storage {
namespace {

constexpr double kGrowth = 1.5;
constexpr double kEarlier = 0.75;
/// A job waits in a handful of folders; beyond that the map is not worth keeping.
constexpr std::size_t kMostFolders = 1000;

}  // namespace

Pacer::Wait::Wait(Pacer& pacer, std::string folder, double first_s)
    : pacer_(pacer),
      folder_(std::move(folder)),
      next_s_(first_s),
      pause_s_(pacer.tuning_.shortest_s),
      first_s_(first_s) {}

void Pacer::Wait::in_vain(double now_s) {
  last_in_vain_s_ = now_s;
  const Tuning& tuning = pacer_.tuning_;
  next_s_ =
      now_s + std::max(pause_s_, std::min(now_s * tuning.long_wait_share, tuning.long_wait_s));
  pause_s_ = std::min(pause_s_ * kGrowth, tuning.longest_s);
}

void Pacer::Wait::found(double now_s) {
  if (last_in_vain_s_ < 0)
    pacer_.learn(folder_, first_s_ * kEarlier);
  else
    pacer_.learn(folder_, (last_in_vain_s_ + now_s) / 2);
}

Pacer::Wait Pacer::wait_for(std::string_view key) {
  const std::size_t slash = key.rfind('/');
  std::string folder(slash == std::string_view::npos ? std::string_view() : key.substr(0, slash));
  const double first_s = tuning_.poll_at_once ? 0 : expected(folder);
  return {*this, std::move(folder), first_s};
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
