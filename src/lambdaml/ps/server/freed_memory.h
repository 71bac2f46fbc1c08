#pragma once

#include "lambdaml/ps/server/environment.h"

namespace lambdaml::ps {

/// malloc keeps what is freed, for the next vector lies sooner on warm pages. Where the process has
/// more than the budget's limit thereby, this gives it back to the kernel; else it does nothing.
void give_back_freed_memory(const Budget& budget);

}  // namespace lambdaml::ps
