#pragma once

#include <map>
#include <string>

#include "apps/cli/expectation.h"
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
  const Expectation& expectation() const { return expectation_; }

 private:
  std::string place_;
  std::map<std::string, std::string> options_;
  Expectation expectation_;
};

}  // namespace lambdaml::cli
