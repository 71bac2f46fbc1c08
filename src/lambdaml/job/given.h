#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "lambdaml/base/options.h"

namespace lambdaml::job {

/// What a user gives for a new job: the command by its flags, a library's caller by arguments.
struct Given {
  std::string file = {};                 ///< a job file, or empty
  std::optional<std::string> text = {};  ///< the text of one instead
  std::string_view section = {};         ///< the key in it that other code reads
  Options typed;  ///< job_options(), of which those are set that were given for this job
};

/// The job's options, ready to be run: those typed, then those of the environment, then those of
/// the file, then the defaults. Warns of options without effect. Throws invalid_argument,
/// not_found.
Options options_of(const Given& given);

/// The same, not resolved.
Options unresolved_options_of(const Given& given);

}  // namespace lambdaml::job
