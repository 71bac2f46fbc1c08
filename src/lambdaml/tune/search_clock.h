#pragma once

#include <optional>

#include "lambdaml/base/deadline.h"
#include "lambdaml/tune/records.h"

namespace lambdaml::tune {

/// How many seconds the search's tuners have worked on it, one that was killed until some seconds
/// before that; 0 if none has yet. One request.
double search_seconds(Records& records);

/// The time that a search takes, kept in its records. Used by one thread. Throws what the store
/// throws.
class SearchClock {
 public:
  /// Starts. The records must outlive this.
  explicit SearchClock(Records& records) : records_(records) {}

  /// Counts on from what earlier tuners took. One request.
  void add_earlier() { earlier_s_ = search_seconds(records_); }
  /// Of this tuner.
  double own_s() const { return own_.seconds(); }
  /// Of all tuners of the search.
  double all_s() const { return earlier_s_.value_or(0) + own_s(); }
  /// Records all_s(), but nothing before add_earlier(): it would be less than what is recorded. One
  /// request.
  void keep();
  /// The same, every some seconds, or where requests are expensive, once a minute.
  void keep_now_and_then();

 private:
  Records& records_;
  const Stopwatch own_;
  Stopwatch since_kept_;
  std::optional<double> earlier_s_;  ///< nullopt: not known yet
};

}  // namespace lambdaml::tune
