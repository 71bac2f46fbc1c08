#pragma once

#include "lambdaml/ps/server/environment.h"

namespace lambdaml::ps {

/// malloc keeps freed memory, so that the next vector gets pages that are already mapped. If the
/// process thereby uses more than the budget's limit, this returns freed memory to the kernel;
/// otherwise it does nothing.
void give_back_freed_memory(const Budget& budget);

}  // namespace lambdaml::ps
