#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/base/options.h"

namespace lambdaml::cli {

/// What a job is expected to take, before it starts, for comparison with what it took.
struct Expectation {
  double seconds = 0, usd = 0;
  double seconds_p10 = 0, seconds_p90 = 0, usd_p90 = 0;  ///< equal if nothing was simulated
  double servers_usd = 0;  ///< of `usd`: by the hour, which are left out of the comparison
  std::string channel;
  std::string by;  ///< who says so: a plan or a profile

  /// Throws invalid_argument if it is above the budget of the job; `advice` says what to do.
  void require_within(const Options& job, const std::string& advice) const;
  std::string text() const;
  /// How far a job that has ended was from it, in time and in what its bill has: adds `estimate` to
  /// its summary, and returns it as text.
  std::string compare(nlohmann::ordered_json& summary) const;
};

}  // namespace lambdaml::cli
