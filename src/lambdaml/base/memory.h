#pragma once

#include <cstdint>

namespace lambdaml {

/// The memory of this machine or virtual machine; other processes may be using part of it.
std::uint64_t machine_memory_bytes();

/// Makes malloc keep freed memory instead of returning it to the kernel, so that the next buffer of
/// the same size uses pages that are already mapped: a page fault costs more than reading the page.
/// For executables; call once, before the first large allocation.
void keep_freed_memory();

/// Makes all threads share one heap, so that memory freed by one can be reused by another: for
/// servers with short-lived threads and large buffers. Call once, before starting threads.
void share_freed_memory();

}  // namespace lambdaml
