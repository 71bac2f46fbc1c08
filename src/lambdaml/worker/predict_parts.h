#pragma once

#include <functional>
#include <string>

#include "lambdaml/faas/runtime.h"
#include "lambdaml/job/event.h"

namespace lambdaml::worker {

/// The worker's side of predictions where the data are: predicts its parts of the data, saves the
/// result of part i of n as `{i}_{n}.FORMAT` in the store of the results, each whole or not at all,
/// and the quality of all of them in the channel. Returns its report as JSON.
///
/// Safe to run again: another attempt writes the same bytes to the same keys. Calls `each_second`
/// (if any) now and then. Throws resource_exhausted if the function's time will not suffice, and
/// what control::WorkerClaim throws.
///
/// Requests besides the data: those of enter(), one GET for the model, one PUT per part and two
/// more, one GET per second.
std::string predict_parts(const job::PredictEvent& event, const faas::Invocation& invocation,
                          const std::function<void()>& each_second);

}  // namespace lambdaml::worker
