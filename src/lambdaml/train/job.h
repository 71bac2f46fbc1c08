#pragma once

#include <string>
#include <string_view>

#include "lambdaml/base/options.h"

/// A training job: its options, where they come from and what they must fulfil together.
namespace lambdaml::train {

/// Every option of a job, declared once: the job's own, then those of the registered models and
/// optimizers.
Options job_options();

/// Sets options from a job file: YAML, so JSON too; one map from option names to values. Errors
/// name FILE:LINE and, for an unknown key, the nearest known ones. Throws invalid_argument,
/// not_found.
/// The value of the key `section` is left alone: it belongs to somebody else.
void read_job_file(const std::string& path, Options& options, std::string_view section = {});
/// The same from text that is not in a file; `what` names it in errors.
void read_job_text(std::string_view text, const std::string& what, Options& options,
                   std::string_view section = {});

/// Sets options from environment variables, `prefix` and their name, e.g. LAMBDAML_BATCH_SIZE. All
/// but `test_data`: LAMBDAML_TEST_DATA names the folder of the data for this project's own tests.
void read_environment(Options& options, std::string_view prefix = "LAMBDAML_");

/// All values, those that were given, or all but circumstances.
enum class Values { all, given, deciding };
/// A YAML map in declared order: a job file that gives the same options again.
std::string to_yaml(const Options& options, Values which = Values::all);
/// The same as a JSON object, for events; from_json() sets them.
std::string to_json(const Options& options, Values which = Values::all);
void from_json(std::string_view json, const std::string& what, Options& options);

/// Brings options to their final form and checks them against each other before anything is
/// started: model aliases (`sparse_lr` → lr), the optimizer that a model needs, paths made
/// absolute, the channel made a URI, the threads of a worker chosen. Throws invalid_argument.
void resolve(Options& options);

/// A new job's id: UTC time and twelve random hex digits, e.g. 20261122-101500-3f9c01d2a47b.
std::string new_job_id();
/// The id of what the invocation of that request id is to do: the same for an event that is
/// delivered twice, and for one that is tried again. `prefix` and at most 80 letters, digits and
/// '-'.
std::string id_of_request(std::string_view prefix, std::string_view request_id);

}  // namespace lambdaml::train
