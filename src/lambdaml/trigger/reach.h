#pragma once

#include <string>

#include "lambdaml/base/options.h"
#include "lambdaml/base/uri.h"

/// What functions on other machines can access.
namespace lambdaml::trigger {

/// Whether the job's workers can access a store: those on other machines cannot access this one's
/// files and memory.
bool is_within_reach(const Options& options, const std::string& uri);

/// Throws invalid_argument unless the job's workers can access that place, the value of the option
/// `name`.
void require_within_reach(const Options& options, const char* name, const std::string& place);

/// Checks a job's options for its platform. Throws invalid_argument.
void require_platform(const Options& options);

/// Whether what a function saves there can be read after the function has ended.
bool outlives_function(const Uri& place);

/// For a job started by a function: sets defaults for the platform (the function's own) and the
/// workers' function (the one that `lambdaml deploy` creates).
void use_own_platform(Options& options);

/// Checks what a job on other machines needs before anything is sent: a function, and a channel and
/// a place for checkpoints that it can access; by default checkpoints go beside the channel, unless
/// that may lose them. Throws invalid_argument. Does nothing for other platforms.
void require_reach(Options& options);

}  // namespace lambdaml::trigger
