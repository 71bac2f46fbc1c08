#pragma once

#include <cstdint>

namespace lambdaml {

/// What this machine, or virtual machine, has; other processes may be using it.
std::uint64_t machine_memory_bytes();

/// Makes malloc keep what is freed instead of giving it back to the kernel, so that the next buffer
/// of the size lies on touched pages: a page fault costs more than reading the page. For the
/// executables; call once, before the first large allocation.
void keep_freed_memory();

/// Makes threads share one heap, so that what one has freed serves another: for servers whose
/// threads come and go with large buffers. Call once, before threads are started.
void share_freed_memory();

}  // namespace lambdaml
