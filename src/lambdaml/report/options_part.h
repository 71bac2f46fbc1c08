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

/// The command that repeats a job, whose options are resolved: a new job that it begins has the
/// same options but `output`.
std::string command_of_job(const Options& job);
/// The command that repeats a search with these settings.
std::string command_of_search(const Options& settings);
/// The options in declared order: name, value, unit, help, and whether it is changed
/// from its default.
nlohmann::ordered_json options_json(const Options& options);

}  // namespace lambdaml::report
