#pragma once

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "lambdaml/base/deadline.h"

/// How long a service that does not answer is waited for: one deadline over all layers.
///
/// A request passes through layers that could each have a time-out of their own and try again: the
/// decorator that repeats calls, the client with its connections, the library below. What is
/// promised is one time, so one object keeps it, shared by all who talk to a service through one
/// handle. Each layer asks it how long it may still wait.
///
/// An outage begins when the first try that was not answered was sent (not when it failed), and
/// ends with the next answer. A service that has answered before gets `outage_s` to come back, one
/// that never has `first_contact_s`. Then it is given up: each later call fails at once, but for
/// one quick probe in a while, so that what tidies up does not wait the whole time again. A probe
/// that is answered ends that.
namespace lambdaml {

struct PatiencePolicy {
  /// How long a service that has answered before is given to come back, in seconds. 0: no limit in
  /// time, only the caller's count of tries.
  double outage_s = 20;
  /// How long one that has never answered is tried.
  double first_contact_s = 5;
  /// Others have talked to the service already: it counts as one that has answered before.
  bool has_answered = false;
  /// A try that moves fewer bytes a second than this over the time that a silent one is given
  /// fails.
  double slowest_bytes_per_s = 1000;

  /// What users are promised: the values above; where the environment sets LAMBDAML_OUTAGE_S (above
  /// 0), that is outage_s and the most that first_contact_s is.
  static PatiencePolicy standard();
};

/// The patience with one service. Thread-safe.
class Patience {
 public:
  using Time = TimePoint;
  class Try;
  class Call;

  explicit Patience(PatiencePolicy policy = PatiencePolicy::standard());
  Patience(const Patience&) = delete;
  Patience& operator=(const Patience&) = delete;

  const PatiencePolicy& policy() const { return policy_; }

  /// A whole answer has come: there is no outage.
  void answered();
  /// A try that had been silent since then has failed. Where another was answered later, the outage
  /// begins with that answer.
  void failed(Time silent_since);
  /// The outage has lasted too long.
  void give_up();

  /// Whether the service has ever answered, or is said to have.
  bool has_answered() const;
  /// Whether the service was given up and has not answered since.
  bool is_given_up() const;
  /// When the present outage has lasted too long; never() without one.
  Deadline end_of_outage() const;
  /// The longest that a server may be asked to wait before it answers, in seconds: so one that is
  /// frozen is told from one that has nothing to say yet.
  double longest_wait_s() const;

 private:
  /// With the mutex locked: the time that the service is given; when the outage began to which a
  /// try belongs that is silent since then.
  double limit_s() const;
  Time begin_of_outage(Time silent_since) const;

  const PatiencePolicy policy_;
  mutable std::mutex mutex_;
  bool has_answered_;
  Time last_answer_ = Time::min();
  std::optional<Time> failing_since_;
  Time last_failure_ = Time::min();
  std::optional<Time> given_up_at_;
  Time next_probe_ = Time::min();
};

/// One request on its way, from before its connection is made to the end of its answer: how long
/// its waits may last. Used by one thread at a time; the Patience must outlive it.
///
/// While it is silent it ends with the outage. The first silent one of a service that has answered
/// before ends after half of that time: its connection may have been lost without a word (to a NAT,
/// or with the server's machine), and the other half is for another. Once bytes move, in either
/// direction, it lives as long as they move at `slowest_bytes_per_s` or faster; so n bytes take at
/// most outage_s + n / slowest_bytes_per_s seconds.
class Patience::Try {
 public:
  explicit Try(Patience& patience);

  /// The server was asked to wait for so long before it answers: what goes beyond longest_wait_s()
  /// is no silence.
  void asks_to_wait(double seconds);
  /// So many bytes of the request have gone out, or of the answer have come in. Cheap.
  void sent(std::uint64_t bytes);
  void received(std::uint64_t bytes);

  /// When it fails unless bytes move: by the rules above, with the call of this thread that it
  /// belongs to, and by an interrupt. To be asked before each wait. Takes a lock.
  Deadline deadline() const;
  /// Since when nothing, or too little, has moved: what Patience::failed() wants to know.
  Time silent_since() const { return window_; }
  /// Why it failed at its deadline, e.g. "no answer for 10 s".
  std::string why_late() const;

 private:
  void count(std::uint64_t bytes);

  Patience* patience_;
  Time window_;  ///< the beginning of the time over which bytes are counted
  std::uint64_t in_window_ = 0, sent_ = 0, received_ = 0;
};

/// A call of a store, from its first try to its last, for the layer that repeats tries. The tries
/// of the same thread end no later than it does. Lives on the stack.
class Patience::Call {
 public:
  explicit Call(Patience& patience);
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call();

  /// Before each try; false when the service was given up and probed a short time ago: then there
  /// is to be none.
  bool begin_try();
  /// The try that was begun last asked nothing of the service: where it was a probe, it was none.
  void withdraw_try();
  /// After begin_try() said false: throws Error(unavailable), naming the service.
  [[noreturn]] void fail_given_up(const std::string& service) const;
  /// The try that was begun last has failed. `silent_since` counts where no layer below has told
  /// the patience.
  void failed(Time silent_since);
  /// Whether part of the last try was answered: a wait that asks again and again was well till
  /// then.
  bool was_answered() const { return was_answered_; }
  /// The outage that this call sees is another than the one before the last try.
  void begin_anew();

  /// Whether there is no time for another try. A service that has never answered, and any without a
  /// limit in time, is given up after `most_tries`.
  bool is_hopeless(int tries, int most_tries) const;
  /// Sleeps before the next try, not longer than leaves time for it. An interrupt ends it.
  void pause(double seconds) const;
  /// Seconds since the first try that failed was sent.
  double failing_s() const;

 private:
  friend class Patience;
  friend class Try;

  double left_s() const;

  Patience& patience_;
  Call* outer_;
  std::optional<Time> failing_since_;
  bool probes_ = false;
  bool was_answered_ = false;
  bool was_told_ = false;  ///< a layer below has told the patience of the last try's failure
};

}  // namespace lambdaml
