#pragma once

#include <map>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/base/options.h"

namespace lambdaml::cli {

/// One way to run a job, as `lambdaml plan` has written it.
class PlanEntry {
 public:
  /// `place`: FILE, whose best entry it is, or FILE:N. Throws not_found, and invalid_argument for a
  /// file that is no plan.
  static PlanEntry read(const std::string& place);

  /// Sets the options that were not typed.
  void apply_to(Options& typed) const;
  /// Throws invalid_argument if the estimate is above the budget of the job.
  void require_within(const Options& job) const;
  std::string text() const;
  /// How far a job that has ended was from it, in time and in what its bill has: adds `estimate` to
  /// its summary, and returns it as text.
  std::string compare(nlohmann::ordered_json& summary) const;

 private:
  std::string place_, channel_;
  std::map<std::string, std::string> options_;
  double seconds_ = 0, seconds_p10_ = 0, seconds_p90_ = 0, usd_ = 0, usd_p90_ = 0;
  double servers_usd_ = 0;  ///< of usd_: by the hour, which no job's bill has
};

}  // namespace lambdaml::cli
