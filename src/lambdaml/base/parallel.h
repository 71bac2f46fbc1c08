#pragma once

#include <cstddef>
#include <functional>

namespace lambdaml {

/// Calls body(i) for every i in [0, n) on up to `threads` threads, the calling one included, and
/// returns when all are done. Which thread runs which i is not said, so a result that must be
/// deterministic may depend on i only. Threads sleep while idle: function hosts sell CPU time as a
/// quota, and a spinning barrier burns it. The first exception of a body is thrown here after the
/// others have ended. May not be nested.
void parallel_for(std::size_t n, std::size_t threads, const std::function<void(std::size_t)>& body);

/// The processors this process may use, at least 1.
std::size_t processors();

}  // namespace lambdaml
