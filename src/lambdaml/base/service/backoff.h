#pragma once

namespace lambdaml {

/// A factor in [0.5, 1), drawn anew at each call: clients that failed together do not come back
/// together. Any thread may call.
double jitter();

/// The pauses between tries: the first `first_s` seconds, then twice as long each time, up to
/// `longest_s`; each shortened to 50–100 %. Used by one thread.
class Backoff {
 public:
  Backoff(double first_s, double longest_s)
      : first_s_(first_s), longest_s_(longest_s), pause_s_(first_s) {}

  /// Seconds to pause now.
  double next_s();
  /// The next pause is a first one again.
  void reset() { pause_s_ = first_s_; }

 private:
  double first_s_;
  double longest_s_;
  double pause_s_;
};

}  // namespace lambdaml
