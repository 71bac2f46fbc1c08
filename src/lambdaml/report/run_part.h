#pragma once

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/base/options.h"
#include "lambdaml/report/document.h"
#include "lambdaml/report/source.h"

namespace lambdaml::report {

/// The item of a run.
nlohmann::ordered_json run_json(const Source& source, const Request& request);

/// Whether every merge of the run waits for all workers; false if that is unknown.
bool rounds_wait(const Source& source);

/// The options that were given, as a command that repeats a job with them.
std::string command_of(const std::string& command, const Options& options);
/// The options in declared order: name, value, whether it was given.
nlohmann::ordered_json options_json(const Options& options);
/// What is known of the metrics with these names, in the order in which models declare them.
nlohmann::ordered_json metrics_json(const std::string& model);

}  // namespace lambdaml::report
