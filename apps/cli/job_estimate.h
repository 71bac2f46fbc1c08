#pragma once

#include <optional>
#include <string>

#include "apps/cli/expectation.h"
#include "lambdaml/base/options.h"

namespace lambdaml::cli {

/// What `train --estimate` takes besides the name of a profile or a file.
inline constexpr const char* kEstimateAuto = "auto";
inline constexpr const char* kEstimateNone = "none";

/// An estimate of an unresolved job. `how`: `none`; a profile, whose errors are thrown; or `auto`:
/// by the built-in profile of the architecture of its functions, if the job's functions or its
/// channel cost money (and no other server stands in for the service), and if there is one within
/// some seconds. It is made in a process of its own, so that nothing of it stays in this one.
std::optional<Expectation> estimate_of(const Options& job, const std::string& how);

}  // namespace lambdaml::cli
