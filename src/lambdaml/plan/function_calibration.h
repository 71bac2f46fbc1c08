#pragma once

#include <string>

#include "lambdaml/base/options.h"
#include "lambdaml/plan/calibration.h"

namespace lambdaml::plan {

/// How a store is measured from functions.
struct FunctionCalibration {
  double seconds = 5;     ///< of each of the two measurements
  double budget_usd = 0;  ///< of functions and requests; 0: without limit
  /// The profile, built-in or a file, whose other numbers are kept; empty: the built-in one of
  /// functions with the same architecture.
  std::string profile;
};

/// Measures the channel of `options` from functions of their platform, where jobs on it run: one
/// function alone, then `workers` at once. In the profile that results the store has the latencies
/// of all of them and the bandwidth of one; if all at once were slower than one, the limits of the
/// store too; and functions start as these did. The rest is as in `wanted.profile`. `options` are
/// trigger::options_of_predictions(), the channel and the platform are set.
///
/// Makes about 250 requests for each function at least; about `budget_usd` at most are spent, and
/// `ended_by` says if that was not enough for all. Leaves nothing in the channel. Throws
/// invalid_argument (a platform whose functions are processes here, a channel that they do not
/// reach, a budget that is less than the first function costs, a profile without a store for the
/// channel), not_found, and what functions and stores throw before the first function has measured;
/// after that, what they throw ends the measurement.
Calibration calibrate_from_functions(const FunctionCalibration& wanted, Options options);

}  // namespace lambdaml::plan
