#pragma once

#include <functional>
#include <string>
#include <vector>

#include "lambdaml/base/options.h"

/// Whether jobs can run here: what a job would need is tried, without starting one.
namespace lambdaml::doctor {

struct Check {
  enum class State {
    ok,
    warning,  ///< jobs can run, but not as well as they could
    failed,
    skipped,  ///< there is nothing to check
  };

  std::string name;    ///< in a few words: "shared memory", "channel"
  bool needed = true;  ///< jobs cannot run if it fails
  State state = State::ok;
  std::string detail;  ///< what was found, one line, without secrets
  std::string advice;  ///< what to do about it, one line; empty if nothing
  double seconds = 0;  ///< that it took
};

/// The name of a state, as JSON has it.
std::string to_string(Check::State state);

/// How long one check may take, in seconds; then it counts as failed.
inline constexpr double kCheck_s = 10;

struct Examination {
  std::vector<Check> checks;
  /// A check that did not end in time may still hang in a call of the system: its thread goes on,
  /// and the process should end without waiting for it (_exit).
  bool hangs = false;

  /// Whether everything that is needed is there.
  bool passed() const;
};

/// Checks one thing after the other: the programs, this machine, credentials, the platform, and
/// the places that a job with these options (not resolved; those that are not set count as their
/// defaults) would read and write. In the stores of channel and checkpoints a key of its own is
/// made, read and removed; data are only listed. `done` is called after each check, on the
/// caller's thread. At most kCheck_s + 1 s for each; usually less than 2 s in all. Throws only
/// `cancelled`: every other failure is a result.
Examination examine(const Options& job, const std::function<void(const Check&)>& done);

}  // namespace lambdaml::doctor
