#pragma once

#include <string>

#include "lambdaml/base/deadline.h"
#include "lambdaml/control/worker_claim.h"
#include "lambdaml/tune/records.h"

/// Who works on a search is decided by keys of its records:
///
///   tuner/order      what was last asked for on purpose: that a chain of tuners runs the search,
///   or
///                    that it stops. A chain is the process of one command, or an event to a tuner
///                    function with its retries and the invocations that continue it.
///   tuner/claim      the newest tuner of that chain
///   tuner/released   the last tuner that has ended, and whether it handed the search on
///
/// So a stop holds whatever comes late: a retry of an event, or the next invocation of a chain,
/// belongs to an earlier order and ends at once. Only order_to_run() lifts it; a tuner function
/// calls it once for an event, under the lease of that event.
namespace lambdaml::tune {

/// Orders a search to be continued by `chain`, a unique name: tuners of other chains end, and an
/// earlier stop is over. One request.
void order_to_run(Records& records, const std::string& chain);
/// The same, unless anything was ordered before. One request.
void order_first_run(Records& records, const std::string& chain);

/// Orders a search to stop: within seconds its tuner stops its trials at their checkpoints and
/// throws Stopped, also one that has yet to begin. The search can be resumed. Throws not_found if
/// no tuner works on it and none is to. Up to four requests.
void request_stop(Records& records);
/// Whether the last order is a stop. One request.
bool is_stopped(Records& records);
/// Whether a tuner works on the search, or is to: the first, or the next invocation of its chain.
/// One that was killed seems to run. Up to three requests.
bool is_running(Records& records);

/// One tuner's claim of a search. Used by one thread. Also throws what the store throws.
class TunerClaim {
 public:
  /// The records must outlive this.
  TunerClaim(Records& records, std::string chain);

  /// Claims the search for the chain that was ordered last: from then on this tuner is valid, and
  /// an earlier one ends. Waits until that one has ended its trials, because both use the same
  /// keys: some seconds, and at most a fifth of the time until `own_time`. Throws as require(), and
  /// cancelled if interrupted. Four requests, and some each second of waiting.
  void take(const Deadline& own_time);
  /// Whether take() has got as far as to claim it.
  bool is_held() const { return !claim_.token().empty(); }
  /// Throws Stopped or Superseded if the search is no longer this tuner's. Two requests.
  void require();
  /// Only if held: says that this tuner has ended, and whether the next invocation of its chain
  /// continues the search. One request.
  void release(bool is_handed_over);

 private:
  Records& records_;
  const std::string chain_;
  control::WorkerClaim claim_;
};

}  // namespace lambdaml::tune
