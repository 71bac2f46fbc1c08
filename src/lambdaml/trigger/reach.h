#pragma once

#include <string>

#include "lambdaml/base/options.h"
#include "lambdaml/base/uri.h"

/// What functions on other machines can reach.
namespace lambdaml::trigger {

/// Whether workers of the job can reach a store: on other machines they reach no file and no memory
/// of this one.
bool is_within_reach(const Options& options, const std::string& uri);

/// Whether what a function puts there can be read when the function is gone.
bool outlives_function(const Uri& place);

/// For a job that is begun by a function: unless they are set, the platform is the one that the
/// function runs on, and the workers' function the one that `lambdaml deploy` makes.
void use_own_platform(Options& options);

/// Checks what a job on other machines needs, before anything is sent: a function, a channel and a
/// place for checkpoints within reach; checkpoints go beside the channel unless it can lose them.
/// Throws invalid_argument. Does nothing for other platforms.
void require_reach(Options& options);

}  // namespace lambdaml::trigger
