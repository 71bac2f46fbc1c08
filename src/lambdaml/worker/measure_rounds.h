#pragma once

#include <string>

#include "lambdaml/faas/runtime.h"
#include "lambdaml/job/event.h"

namespace lambdaml::worker {

/// The worker's side of `bench comm`: merges a known vector `rounds` times and returns as JSON the
/// seconds of each round, the requests and bytes, and whether every sum was bitwise right.
std::string measure_rounds(const job::BenchCommEvent& event, const faas::Invocation& invocation);

}  // namespace lambdaml::worker
