#pragma once

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "lambdaml/base/uri.h"

namespace lambdaml::plan {

/// What real jobs on this machine took.
struct Trials {
  double command_s = 0;  ///< see sim::FunctionProfile
  /// What a request of a job takes longer than one of a program that makes nothing else; below 0 if
  /// it is quicker, for processors that are busy need not be woken.
  double request_s = 0;
  /// Of a request, that of a shared processor: see sim::StoreProfile.
  double request_processor_s = 0;
  /// Work with a byte, by the time that the store alone takes for it.
  double byte_work = 0;
};

/// What is known before.
struct TrialLimits {
  double put_per_s = 0;  ///< bytes a second that the store takes from one client
  /// The most that Trials::byte_work can be.
  double byte_work = std::numeric_limits<double>::infinity();
  double request_s = 0;  ///< the most by which Trials::request_s can be below 0
};

/// Runs some thirty small jobs over `channel`, real ones and simulated by the profile that
/// `measured` returns, which it is asked for again as `out` becomes known (ADR 82). What the real
/// ones take longer is, of jobs with more rounds, that of their requests; with more workers than
/// processors, their work; with larger vectors, that of bytes; and what is left is the command's.
/// Adds how long workers took to start to `starts`. Throws what jobs throw.
void run_trials(const Uri& channel, const TrialLimits& limits, std::vector<double>& starts,
                Trials& out, const std::function<std::string()>& measured);

/// Adds the start-up times of the workers of a finished job, seconds, by the folder of its run.
/// Throws not_found.
void read_starts(const std::string& run, std::vector<double>& out);

}  // namespace lambdaml::plan
