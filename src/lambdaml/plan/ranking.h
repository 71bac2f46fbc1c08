#pragma once

#include <vector>

#include "lambdaml/plan/candidate.h"
#include "lambdaml/plan/question.h"

namespace lambdaml::plan {

/// Which candidates are better than others, by the aim and the limits of a question. Thread-safe.
class Ranking {
 public:
  explicit Ranking(const Question& question)
      : aim_(question.aim), deadline_s_(question.deadline_s), budget_usd_(question.budget_usd) {}

  /// Sets `meets_limits`.
  void judge(Candidate& candidate) const;
  /// Of candidates that were judged. Those that meet the limits are better than others, of which
  /// the nearest to them is the best. Where nothing costs anything, the fastest is the best.
  bool is_better(const Candidate& a, const Candidate& b) const;
  /// Judges all, and puts the best first; equal ones stay in order.
  void sort(std::vector<Candidate>& all) const;

 private:
  double worth(double seconds, double usd) const;
  double excess(const Candidate& candidate) const;

  const Aim aim_;
  const double deadline_s_, budget_usd_;  ///< 0: none
};

/// Sets `is_on_front`.
void mark_front(std::vector<Candidate>& all);

}  // namespace lambdaml::plan
