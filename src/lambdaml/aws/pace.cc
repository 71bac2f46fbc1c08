#include "lambdaml/aws/pace.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "lambdaml/base/log.h"
#include "lambdaml/base/rng.h"
#include "lambdaml/base/unique_id.h"

namespace lambdaml::aws {
namespace {

/// With 0.9, rounds are 3 % shorter, and in one of six jobs of a simulation requests were refused
/// in the third second.
constexpr double kMargin = 0.85;
/// Clients that are remembered.
constexpr std::size_t kMostClients = 4096;
/// A little less than the second after which the service counts anew.
constexpr double kLesson_s = 0.95;
/// Within it, requests are sent again after such pauses: often enough to take all that the service
/// gives, and no more often.
constexpr double kPause_s = 0.08;
/// For so long after a change of the rate refusals teach nothing: the service still counts what was
/// sent before, and others have not heard of it yet.
constexpr double kSettles_s = 1;
/// How much may be sent at once of what is known beforehand.
constexpr double kBurst_s = 1;
constexpr double kDrift = 0.125;
constexpr double kGrowth = 1.25;
constexpr double kGrowsEvery_s = 60;
/// One refusal lowers a rate to no less than this share: a client that had little to send counts
/// little.
constexpr double kDeepestCut = 0.5;
constexpr double kSlowest_per_s = 0.1;

TimePoint::duration pause_of(double s) {
  return std::chrono::duration_cast<TimePoint::duration>(std::chrono::duration<double>(s));
}
double seconds_between(TimePoint begin, TimePoint end) {
  return std::chrono::duration<double>(end - begin).count();
}

}  // namespace

Pace::Pace(Limits known)
    : known_(known), per_s_(kStated * known.all_per_s), client_(unique_number() | 1) {}

TimePoint Pace::Line::reserve(TimePoint now, double per_s, double burst_s) {
  if (!std::isfinite(per_s)) return now;
  const double interval_s = 1 / std::max(per_s, kSlowest_per_s);
  due = std::max(due, now);
  const TimePoint go = due - pause_of(std::max(0.0, burst_s - interval_s));
  due += pause_of(interval_s);
  return std::max(go, now);
}

void Pace::take_share(double share) {
  const std::lock_guard lock(mutex_);
  share_ = std::clamp(share, 1e-6, 1.0);
}

TimePoint Pace::reserve(bool writes) {
  const std::lock_guard lock(mutex_);
  const TimePoint now = time_now();
  settle(now);
  const TimePoint by_kind = writes ? writes_.reserve(now, known_.writes_per_s * share_, kBurst_s)
                                   : reads_.reserve(now, known_.reads_per_s * share_, kBurst_s);
  return std::max(by_kind, all_.reserve(now, rate(now) * share_, 0));
}

void Pace::taken() {
  const std::lock_guard lock(mutex_);
  const TimePoint now = time_now();
  settle(now);
  taken_in_last_second(now);
  taken_.push_back(now);
  if (lesson_)
    lesson_->per_s = std::max(lesson_->per_s, static_cast<double>(taken_.size()) / share_);
}

std::optional<double> Pace::refused(TimePoint sent_at) {
  const std::lock_guard lock(mutex_);
  const TimePoint now = time_now();
  settle(now);
  if (generation_ > 0 && sent_at < changed_at_ + pause_of(kSettles_s)) return {};
  const auto n = static_cast<double>(taken_in_last_second(now));
  if (!lesson_) {
    const TimePoint begun = taken_.empty() ? now : taken_.front();
    lesson_ = Lesson{0, begun + pause_of(kLesson_s), generation_};
  }
  lesson_->per_s = std::max(lesson_->per_s, n / share_);
  settle(now);
  if (!lesson_) return {};
  return Rng(mix({static_cast<std::uint64_t>(now.time_since_epoch().count())})).uniform(0.5, 1) *
         kPause_s;
}

std::optional<Pace::News> Pace::news() {
  const std::lock_guard lock(mutex_);
  const TimePoint now = time_now();
  settle(now);
  if (generation_ == 0) return {};
  News news{generation_, rate(now)};
  news.clients = std::max(most_clients_, static_cast<std::int64_t>(counted_.size()));
  // Its own count, or that of another that it has heard of.
  auto one = counted_.find(client_);
  if (one == counted_.end()) one = counted_.begin();
  if (one != counted_.end()) {
    news.client = one->first;
    news.counted_per_s = one->second;
  }
  return news;
}

void Pace::hear(const News& news) {
  if (news.generation <= 0 || !std::isfinite(news.per_s) || news.per_s < kSlowest_per_s) return;
  const std::lock_guard lock(mutex_);
  const TimePoint now = time_now();
  if (news.generation < generation_) return;
  const bool is_newer = news.generation > generation_;
  if (is_newer) {
    generation_ = news.generation;
    counted_.clear();
    most_clients_ = 0;
  }
  if (news.client != 0 && std::isfinite(news.counted_per_s) &&
      news.counted_per_s >= kSlowest_per_s && counted_.size() < kMostClients)
    counted_.try_emplace(news.client, news.counted_per_s);
  if (news.clients > most_clients_) {
    most_clients_ = news.clients;
    their_mean_ = news.per_s;
  }
  if (is_newer)
    change(news.per_s, now);
  else if (most_clients_ > 0 && seconds_between(changed_at_, now) < kGrowsEvery_s)
    per_s_ = agreed();
  else
    per_s_ *= 1 + kDrift * (news.per_s / rate(now) - 1);
}

double Pace::agreed() const {
  const auto known = static_cast<std::int64_t>(counted_.size());
  if (most_clients_ > known || counted_.empty()) return their_mean_;
  double sum = 0;
  for (const auto& [client, per_s] : counted_) sum += per_s;
  return sum / static_cast<double>(known);
}

void Pace::settle(TimePoint now) {
  if (!lesson_ || now < lesson_->ends) return;
  const Lesson lesson = *lesson_;
  lesson_.reset();
  // Nothing was taken: that is an outage, of which no rate can be learned.
  if (lesson.per_s == 0) return;
  const double before = rate(now);
  double learned = std::max(kMargin * lesson.per_s, kSlowest_per_s / share_);
  if (lesson.generation == 0) learned = std::max(learned, known_.least_per_s);
  if (generation_ != lesson.generation) {
    // Others were refused at the same time and have counted too.
    counted_.insert_or_assign(client_, learned);
    change(agreed(), now);
    return;
  }
  ++generation_;
  // Not of what the rate has grown to since then, perhaps unused.
  const double least = kDeepestCut * std::min(before, per_s_);
  if (std::isfinite(before)) learned = std::clamp(learned, least, before);
  counted_ = {{client_, learned}};
  most_clients_ = 0;
  change(learned, now);
  log::debug("requests were refused as too many: {:.1f} per second from now on, of {:.1f} in all",
             per_s_ * share_, per_s_);
}

double Pace::rate(TimePoint now) const {
  if (!std::isfinite(per_s_) || generation_ == 0) return per_s_;
  const double grown =
      per_s_ * std::pow(kGrowth, std::floor(seconds_between(changed_at_, now) / kGrowsEvery_s));
  return std::min(grown, kStated * known_.all_per_s);
}

void Pace::change(double per_s, TimePoint now) {
  per_s_ = per_s;
  changed_at_ = now;
  all_.due = std::min(all_.due, now + pause_of(1 / std::max(per_s * share_, kSlowest_per_s)));
}

std::size_t Pace::taken_in_last_second(TimePoint now) {
  while (!taken_.empty() && seconds_between(taken_.front(), now) > 1) taken_.pop_front();
  return taken_.size();
}

}  // namespace lambdaml::aws
