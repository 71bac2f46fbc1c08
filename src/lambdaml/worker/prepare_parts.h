#pragma once

#include <functional>
#include <string>

#include "lambdaml/faas/runtime.h"
#include "lambdaml/job/event.h"

namespace lambdaml::worker {

/// The response of a worker that found rows with line ends inside: nothing was saved, and the
/// agreement names the files, which cannot be cut.
inline constexpr std::string_view kNotLines = R"({"status":"not_lines"})";

/// Makes a worker's parts of a data set: reads its blocks, agrees with the other workers on what is
/// known of all rows (data/blocks/findings.h), saves its parts and returns its report, with what
/// the manifest says of each. A later attempt writes the same bytes. Calls `each_second` about once
/// a second. Throws what reading and the stores throw; resource_exhausted if the function's time is
/// over.
std::string prepare_parts(const job::PrepareEvent& event, const faas::Invocation& invocation,
                          const std::function<void()>& each_second);

}  // namespace lambdaml::worker
