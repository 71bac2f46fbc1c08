#include "lambdaml/plan/what_if.h"

#include <algorithm>

namespace lambdaml::plan {

Candidate in_circumstances(const Candidate& candidate, const sim::Profile& profile,
                           const Circumstances& circumstances) {
  Candidate out = candidate;
  const bool is_of_pilots = circumstances.epochs != nullptr;
  if (is_of_pilots && !out.is_simulated) {
    // Its spread is that of the epochs, which are given now.
    out.seconds_p10 = out.seconds_p90 = out.seconds;
    out.usd_p10 = out.usd_p90 = out.usd;
  }
  const double passes =
      is_of_pilots ? out.pilot_epochs.*circumstances.epochs / out.pilot_epochs.median : 1;
  const double more_s = (passes * circumstances.compute - 1) * out.compute_s +
                        (passes * circumstances.rounds - 1) * out.rounds_s;
  const double more_usd =
      (passes - 1) * out.epochs.median * out.epoch_usd +
      usd_of_seconds(out, profile.functions, profile.store(out.channel), more_s);
  for (double* const seconds : {&out.seconds, &out.seconds_p10, &out.seconds_p90})
    *seconds += more_s;
  for (double* const usd : {&out.usd, &out.usd_p10, &out.usd_p90}) *usd += more_usd;
  return out;
}

std::vector<Change> changes_of(const std::vector<Candidate>& all, const sim::Profile& profile,
                               const Ranking& ranking) {
  struct Case {
    const char* when;
    Circumstances circumstances;
  };
  constexpr Case kCases[] = {
      {"a row took twice as long", {.compute = 2}},
      {"a row took half as long", {.compute = 0.5}},
      {"requests took twice as long", {.rounds = 2}},
      {"requests took half as long", {.rounds = 0.5}},
      {"the goal took the epochs of the slowest pilots", {.epochs = &Epochs::most}},
      {"the goal took the epochs of the quickest pilots", {.epochs = &Epochs::least}}};
  std::vector<Change> out;
  for (const Case& one : kCases) {
    std::vector<Candidate> then;
    for (const Candidate& candidate : all) {
      then.push_back(in_circumstances(candidate, profile, one.circumstances));
      ranking.judge(then.back());
    }
    const auto best = std::ranges::min_element(
        then, [&](const Candidate& a, const Candidate& b) { return ranking.is_better(a, b); });
    if (best != then.begin())
      out.push_back({one.when, static_cast<std::size_t>(best - then.begin())});
  }
  return out;
}

}  // namespace lambdaml::plan
