#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/base/options.h"

/// Reading and writing options: job files, events, the environment.
namespace lambdaml::job {

/// Sets options from a job file: YAML (of which JSON is a subset), one map from option names to
/// values. Errors name FILE:LINE and, for an unknown key, the nearest known ones. Throws
/// invalid_argument, not_found.
/// A null value (`~`) leaves the option as it is. Ignores the key `section`, which other code
/// reads.
void read_job_file(const std::string& path, Options& options, std::string_view section = {});
/// The same from text that is not in a file; `what` names it in errors.
void read_job_text(std::string_view text, const std::string& what, Options& options,
                   std::string_view section = {});

/// Sets options from environment variables that are not empty, named `prefix` and the option, e.g.
/// LAMBDAML_BATCH_SIZE, except `test_data`: LAMBDAML_TEST_DATA names the data folder of this
/// project's own tests.
void read_environment(Options& options, std::string_view prefix = "LAMBDAML_");

/// All values, only those that were given, or all but execution-only options.
enum class Values { all, given, deciding };
/// A YAML map in declared order: a job file that gives the same options. Here and in JSON, a path
/// that is not UTF-8 becomes a URI (base/uri.h).
std::string to_yaml(const Options& options, Values which = Values::all);
/// The same as a JSON object, for events; from_json() sets them.
nlohmann::json to_json(const Options& options, Values which = Values::all);
void from_json(const nlohmann::json& object, const std::string& what, Options& options);
/// A text would become a JSON string.
void from_json(const std::string& text, const std::string& what, Options& options) = delete;

}  // namespace lambdaml::job
