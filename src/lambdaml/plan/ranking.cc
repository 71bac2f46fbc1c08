#include "lambdaml/plan/ranking.h"

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

namespace lambdaml::plan {

void Ranking::judge(Candidate& candidate) const {
  candidate.meets_limits = (deadline_s_ <= 0 || candidate.seconds_p90 <= deadline_s_) &&
                           (budget_usd_ <= 0 || candidate.usd_p90 <= budget_usd_);
}

/// The less the better.
double Ranking::worth(double seconds, double usd) const {
  switch (aim_) {
    case Aim::time:
      return seconds;
    case Aim::cost:
      return usd;
    case Aim::product:
      break;
  }
  return seconds * usd;
}

/// How far a candidate misses the limits, as a factor.
double Ranking::excess(const Candidate& candidate) const {
  double factor = 1;
  if (deadline_s_ > 0) factor *= std::max(1.0, candidate.seconds_p90 / deadline_s_);
  if (budget_usd_ > 0) factor *= std::max(1.0, candidate.usd_p90 / budget_usd_);
  return factor;
}

bool Ranking::is_better(const Candidate& a, const Candidate& b) const {
  if (a.meets_limits != b.meets_limits) return a.meets_limits;
  if (!a.meets_limits) return excess(a) < excess(b);
  return std::tuple(worth(a.seconds, a.usd), a.seconds, a.usd) <
         std::tuple(worth(b.seconds, b.usd), b.seconds, b.usd);
}

void Ranking::sort(std::vector<Candidate>& all) const {
  for (Candidate& candidate : all) judge(candidate);
  std::ranges::stable_sort(all,
                           [&](const Candidate& a, const Candidate& b) { return is_better(a, b); });
}

void mark_front(std::vector<Candidate>& all) {
  std::vector<Candidate*> by_time;
  by_time.reserve(all.size());
  for (Candidate& candidate : all) by_time.push_back(&candidate);
  std::ranges::stable_sort(by_time, {},
                           [](const Candidate* one) { return std::pair(one->seconds, one->usd); });
  double cheapest = std::numeric_limits<double>::infinity();
  for (Candidate* const candidate : by_time) {
    candidate->is_on_front = candidate->usd < cheapest;
    cheapest = std::min(cheapest, candidate->usd);
  }
}

}  // namespace lambdaml::plan
