#pragma once

#include <cstddef>
#include <functional>

namespace lambdaml {

/// Calls body(i) for every i in [0, n) on up to `threads` threads, including the calling one, and
/// returns when all are done. The assignment of i to threads is unspecified, so deterministic
/// results may depend on i only. Threads sleep while idle: function hosts sell CPU time as a quota,
/// and a spinning barrier burns it. If a body throws, the first exception is rethrown once no body
/// runs any more. Must not be nested.
void parallel_for(std::size_t n, std::size_t threads, const std::function<void(std::size_t)>& body);

/// The processors this process may use, at least 1.
std::size_t processors();

}  // namespace lambdaml
