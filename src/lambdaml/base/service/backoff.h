#pragma once

namespace lambdaml {

/// A random factor in [0.5, 1), so that clients that failed together do not retry together.
/// Thread-safe.
double jitter();

/// The pauses between retries: `first_s` seconds at first, doubling up to `longest_s`; each is
/// multiplied by jitter(). Used by one thread.
class Backoff {
 public:
  Backoff(double first_s, double longest_s)
      : first_s_(first_s), longest_s_(longest_s), pause_s_(first_s) {}

  /// Seconds to pause now.
  double next_s();
  /// Starts again with the first pause.
  void reset() { pause_s_ = first_s_; }

 private:
  double first_s_;
  double longest_s_;
  double pause_s_;
};

}  // namespace lambdaml
