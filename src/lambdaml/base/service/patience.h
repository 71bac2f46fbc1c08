#pragma once

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "lambdaml/base/deadline.h"

/// How long to wait for a service that does not answer: one time limit over all layers.
///
/// A request passes through layers that could each have a time-out and retries of their own: the
/// retry decorator, the client with its connections, the library below. Users are promised a single
/// limit, so one object keeps it, shared by all that talk to a service through one handle. Each
/// layer asks it how long it may still wait.
///
/// An outage begins when the first unanswered try was sent (not when it failed) and ends with the
/// next answer. A service that has answered before gets `outage_s` to come back; one that has never
/// answered gets `first_contact_s`. After that the service is given up: later calls fail at once,
/// except for a short probe from time to time, so that cleanup does not wait the whole time again.
/// An answered probe ends this state.
namespace lambdaml {

struct PatiencePolicy {
  /// How long a service that has answered before may take to come back, in seconds. 0: no time
  /// limit, only the caller's limit on tries.
  double outage_s = 20;
  /// The same for a service that has never answered.
  double first_contact_s = 5;
  /// Other clients have talked to the service already: treat it as one that has answered before.
  bool has_answered = false;
  /// A try that moves fewer bytes per second than this, over the time granted to a silent try,
  /// fails.
  double slowest_bytes_per_s = 1000;

  /// The documented limits: the values above. If the environment sets LAMBDAML_OUTAGE_S (above 0),
  /// it replaces outage_s and caps first_contact_s.
  static PatiencePolicy standard();
};

/// The patience with one service. Thread-safe; throws nothing.
class Patience {
 public:
  using Time = TimePoint;
  class Try;
  class Call;

  explicit Patience(PatiencePolicy policy = PatiencePolicy::standard());
  Patience(const Patience&) = delete;
  Patience& operator=(const Patience&) = delete;

  const PatiencePolicy& policy() const { return policy_; }

  /// A whole answer has arrived: there is no outage.
  void answered();
  /// A try that had been silent since that time has failed. If another try was answered later, the
  /// outage begins with that answer.
  void failed(Time silent_since);
  /// The outage has lasted too long.
  void give_up();

  /// Whether the service has ever answered, or is declared to have.
  bool has_answered() const;
  /// Whether the service was given up and has not answered since.
  bool is_given_up() const;
  /// When the present outage will have lasted too long; never() if there is none.
  Deadline end_of_outage() const;
  /// The longest that a server may be asked to delay its answer, in seconds, so that a frozen
  /// server can be told from one that has nothing to report yet.
  double longest_wait_s() const;

 private:
  /// With the mutex locked: the time limit for the service, and the beginning of the outage that
  /// contains a try that has been silent since that time.
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

/// One request in flight, from before its connection is made to the end of its answer: how long its
/// waits may last. Used by one thread at a time; the Patience must outlive it.
///
/// A silent try ends with the outage. For a service that has answered before, the first silent try
/// ends after half of that time: its connection may have been lost without notice (at a NAT, or
/// with the server's machine), and the other half is left for a new one. While bytes move in either
/// direction at `slowest_bytes_per_s` or faster, the try continues; so n bytes take at most
/// outage_s + n / slowest_bytes_per_s seconds.
class Patience::Try {
 public:
  explicit Try(Patience& patience);

  /// The server was asked to delay its answer for that long; only the time beyond longest_wait_s()
  /// counts as silence.
  void asks_to_wait(double seconds);
  /// That many bytes of the request were sent, or of the answer received. Cheap.
  void sent(std::uint64_t bytes);
  void received(std::uint64_t bytes);

  /// When the try fails unless bytes move: by the rules above, by the enclosing call of this
  /// thread, and by an interrupt. Ask before each wait. Takes a lock.
  Deadline deadline() const;
  /// Since when nothing, or too little, has moved: the argument of Patience::failed().
  Time silent_since() const { return window_; }
  /// Why it failed at its deadline, e.g. "no answer for 10 s".
  std::string why_late() const;

 private:
  void count(std::uint64_t bytes);

  Patience* patience_;
  Time window_;  ///< the beginning of the time over which bytes are counted
  std::uint64_t in_window_ = 0, sent_ = 0, received_ = 0;
};

/// A call of a store, from its first try to its last, for the layer that retries. Tries of the same
/// thread end no later than the call. Must live on the stack.
class Patience::Call {
 public:
  explicit Call(Patience& patience);
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call();

  /// Call before each try. False if the service was given up and was probed a short time ago: then
  /// do not try.
  bool begin_try();
  /// The last try sent no request to the service, so it does not count as a probe.
  void withdraw_try();
  /// After begin_try() returned false: throws Error(unavailable), naming the service.
  [[noreturn]] void fail_given_up(const std::string& service) const;
  /// The last try has failed. `silent_since` counts only if no lower layer has reported the
  /// failure.
  void failed(Time silent_since);
  /// Whether part of the last try was answered: a wait that polls repeatedly was fine until then.
  bool was_answered() const { return was_answered_; }
  /// The outage that this call sees is not the one before the last try.
  void begin_anew();

  /// Whether there is no time for another try. A service that has never answered, or that has no
  /// time limit, is given up after `most_tries`.
  bool is_hopeless(int tries, int most_tries) const;
  /// Sleeps before the next try, but leaves time for it. An interrupt ends the sleep (throws
  /// cancelled).
  void pause(double seconds) const;
  /// Seconds since the first failed try was sent.
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
  bool was_told_ = false;  ///< a lower layer has reported the last try's failure
};

}  // namespace lambdaml
