#pragma once

#include "lambdaml/base/options.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/trigger/staging.h"

namespace lambdaml::trigger {

/// Constructs the model and the optimizer as the workers will, and estimates a worker's memory, so
/// that errors are found before anything is started. `memory_mb` of the options is what the
/// functions have. Throws invalid_argument, naming the data or the option to change, and what the
/// constructors throw. Sends no request.
void rehearse(Options options, const StagedData& staged, storage::Storage& channel);

}  // namespace lambdaml::trigger
