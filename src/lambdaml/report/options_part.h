#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/options.h"

namespace lambdaml::report {

/// The options of a job, from the bytes of its job.yaml. Throws what job::read_job_text() throws.
Options options_of(const Buffer& job_yaml);
/// Whether every merge of a job with these options waits for all workers.
bool rounds_wait(const Options& job);

/// The options that are not the defaults, as a command that repeats a job with them.
std::string command_of(const std::string& command, const Options& options);
/// The options in declared order: name, value, unit, help, and whether it is changed
/// from its default.
nlohmann::ordered_json options_json(const Options& options);

}  // namespace lambdaml::report
