#pragma once

#include <string>
#include <vector>

#include "lambdaml/base/options.h"

/// Options that have no effect in a job, because they belong to a plug-in that the job does not
/// use: `clusters` in a job of lr, `rho` without ADMM. One rule for all kinds of plug-ins: such an
/// option is an error if it was typed for this job and the choice of its owner was left to the
/// default, because then the choice was forgotten; and otherwise a warning, because a job file, an
/// environment variable or an event of the original system may serve several choices.
namespace lambdaml::job {

/// An option whose value is not the default, and which the job does not use.
struct UnusedOption {
  std::string name;
  std::string kind;                 ///< the option that chooses its owner: `optim`
  std::vector<std::string> owners;  ///< the values of `kind` with which it has an effect
  std::string chosen;               ///< the job's value of `kind`
  bool by_default = false;          ///< nobody chose that value
};

/// Of options as they were given, or resolved: resolving chooses the defaults. Stores are not among
/// the owners: their options are in their URIs.
std::vector<UnusedOption> unused_options(const Options& options);

/// Throws invalid_argument for an unused option that is set in `typed`, the flags of a command, if
/// the choice of its owner was left to the default. `options` are those from all sources.
void require_used(const Options& options, const Options& typed);

/// Logs a warning for each unused option, once in a process.
void warn_of_unused(const Options& options);
/// The same for the unused options that are set in `typed`, whatever their values.
void warn_of_unused(const Options& options, const Options& typed);

}  // namespace lambdaml::job
